// `npm run fuzz -- [ssm|documents] [inputs] [seed]`: a million broken inputs for the ssm driver's decoders, a hundred thousand documents by
// the schema for the API server and `portforward check`. Without a word: both. Numbers alone are for the decoders.
import { startApi } from '../integration/api/api.ts';
import { fuzzDocuments } from './documents/judges.ts';
import { fuzzDecoders } from './ssm/decoders.ts';

type Fuzz = (inputs: number | undefined, seed: number) => Promise<string>;

const all: Readonly<Record<string, Fuzz>> = {
  ssm: async (inputs = 1_000_000, seed) => {
    const { messages } = fuzzDecoders(inputs, seed);
    return `ssm decoders: ${inputs} inputs, seed ${seed}, ${messages} of them valid messages, none handled wrongly`;
  },
  documents: async (inputs = 100_000, seed) => {
    await using api = await startApi();
    const { accepted, refused, children, refusedChildren, slowestMs } = await fuzzDocuments(api, inputs, seed);
    return `documents: ${inputs}, seed ${seed}, ${accepted} accepted with ${children} objects (${refusedChildren} refused), ${refused} refused, judged alike; the slowest apply took ${slowestMs.toFixed(0)} ms`;
  },
};

const [, , ...given] = process.argv;
const word = given[0];
const name = word !== undefined && Number.isNaN(Number(word)) ? given.shift() : word && 'ssm';
if (name !== undefined && all[name] === undefined) {
  throw new Error(`unknown fuzz ${name}; there are ${Object.keys(all).join(' and ')}`);
}
const [inputs, seed = Date.now() % 2 ** 31] = given.map(Number);
for (const [one, fuzz] of Object.entries(all)) {
  if (name !== undefined && one !== name) continue;
  const before = performance.now();
  const line = await fuzz(inputs, seed);
  console.log(`${line}, ${((performance.now() - before) / 1_000).toFixed(1)} s`);
}
