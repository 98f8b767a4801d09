// `npm run fuzz -- [inputs] [seed]`: a million broken inputs for the ssm driver's decoders.
import { fuzzDecoders } from './decoders.ts';

const inputs = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 32);
const before = performance.now();
const { messages } = fuzzDecoders(inputs, seed);
const seconds = ((performance.now() - before) / 1_000).toFixed(1);
console.log(
  `ssm decoders: ${inputs} inputs, seed ${seed}, ${messages} of them valid messages, none handled wrongly, ${seconds} s`,
);
