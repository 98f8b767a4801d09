// One thing that reads input of others, and what must hold for every input of it. Neighbours: broken.ts breaks the input; readers.ts lists
// the subjects, ssh/ and sidecar/ have them.
import { broken, numbers } from './broken.ts';

export interface Subject {
  readonly name: string;
  /** Valid inputs, which are broken. */
  readonly seeds: readonly Buffer[];
  /** Returns whether the input was taken for valid. @throws anything, if it was handled wrongly. */
  readonly holds: (input: Buffer, random: () => number) => boolean;
}

export interface SubjectResult {
  readonly valid: number;
  /** Of one input; on a busy machine more than it cost. */
  readonly slowestMs: number;
}

/** Runs that many inputs. @throws Error at the first that is handled wrongly, with the seed and the input. */
export function fuzzSubject({ name, seeds, holds }: Subject, inputs: number, seed: number): SubjectResult {
  const random = numbers(seed);
  let valid = 0;
  let slowestMs = 0;
  for (let input = 0; input < inputs; input += 1) {
    const bytes = broken(seeds, random);
    const start = performance.now();
    try {
      if (holds(bytes, random)) valid += 1;
    } catch (cause) {
      throw new Error(`${name}, seed ${seed}, input ${input}: ${bytes.toString('hex')}`, { cause });
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
  }
  return { valid, slowestMs };
}
