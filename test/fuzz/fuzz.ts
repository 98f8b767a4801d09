// `npm run fuzz -- [ssm|readers|documents|native] [inputs] [seed]`: a million broken inputs for the ssm driver's decoders and for each other reader
// of what others write, a hundred thousand documents by the schema for the API server and `portforward check`. Without a word: all. Numbers
// alone are for the decoders. `native`: ten million messages, clients and times for the engine of the ssh data path, with sanitizers.
import { startApi } from '../integration/api/api.ts';
import { fuzzDocuments } from './documents/judges.ts';
import { fuzzEngine } from './native/engine-program.ts';
import { readers } from './readers.ts';
import { fuzzDecoders } from './ssm/decoders.ts';
import { fuzzSubject } from './subject.ts';

type Fuzz = (inputs: number | undefined, seed: number) => Promise<string>;

const all: Readonly<Record<string, Fuzz>> = {
  ssm: async (inputs = 1_000_000, seed) => {
    const { messages } = fuzzDecoders(inputs, seed);
    return `ssm decoders: ${inputs} inputs, seed ${seed}, ${messages} of them valid messages, none handled wrongly`;
  },
  readers: async (inputs = 1_000_000, seed) => {
    const lines = readers.map((reader) => {
      const { valid, slowestMs } = fuzzSubject(reader, inputs, seed);
      return `${reader.name}: ${inputs} inputs, seed ${seed}, ${valid} of them valid, none handled wrongly; the slowest took ${slowestMs.toFixed(1)} ms`;
    });
    return lines.join('\n');
  },
  native: async (inputs = 10_000_000, seed) => `engine: ${await fuzzEngine(inputs, seed)}`,
  documents: async (inputs = 100_000, seed) => {
    await using api = await startApi();
    const onProgress = (done: number): void => {
      if (done % 10_000 === 0) console.error(`documents: ${done} of ${inputs}, seed ${seed}`);
    };
    const result = await fuzzDocuments(api, inputs, seed, onProgress);
    const { accepted, refused, children, refusedChildren, slowestMs } = result;
    return `documents: ${inputs}, seed ${seed}, ${accepted} accepted with ${children} objects (${refusedChildren} refused), ${refused} refused, judged alike; the slowest apply took ${slowestMs.toFixed(0)} ms`;
  },
};

const [, , ...given] = process.argv;
const word = given[0];
const name = word !== undefined && Number.isNaN(Number(word)) ? given.shift() : word && 'ssm';
if (name !== undefined && all[name] === undefined) {
  throw new Error(`unknown fuzz ${name}; there are ${Object.keys(all).join(', ')}`);
}
const [inputs, seed = Date.now() % 2 ** 31] = given.map(Number);
for (const [one, fuzz] of Object.entries(all)) {
  if (name !== undefined && one !== name) continue;
  const before = performance.now();
  const line = await fuzz(inputs, seed);
  console.log(`${line}, ${((performance.now() - before) / 1_000).toFixed(1)} s`);
}
