// The corpus of documents that all judges of the API must agree on: good/ are accepted, bad/ are refused, each at the field paths that
// its leading comment lists. Judged by zod in test/unit/contract/api, by a real API server in test/integration/api.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** One file of the corpus. */
export interface Example {
  readonly name: string;
  readonly text: string;
  readonly document: unknown;
  /** The field paths at which it is refused, sorted; none for a good one. */
  readonly refusedAt: readonly string[];
}

/** The files of one half, by name. */
export function corpus(half: 'good' | 'bad'): readonly Example[] {
  const directory = join(import.meta.dirname, half);
  return readdirSync(directory)
    .toSorted()
    .map((file) => {
      const text = readFileSync(join(directory, file), 'utf8');
      const refusedAt = [...text.matchAll(/^# refused at: (.+)$/gm)].map(([, path = '']) => path).toSorted();
      return { name: file.replace('.yaml', ''), text, document: parse(text, { version: '1.1' }) as unknown, refusedAt };
    });
}
