// Node's flags and the variables in the image, for tests and benchmarks that run a tunnel as a process of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runConfigOf } from '../../scripts/release/dockerfile.ts';

const { Entrypoint: entrypoint, Env: environment } = runConfigOf(
  readFileSync(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8'),
);

/** The arguments between `node` and the program in the image's entry point. */
export const nodeFlags: readonly string[] = entrypoint.slice(entrypoint.indexOf('node') + 1, -1);

/** The image's variables, but for the path. */
export const imageEnvironment: Readonly<Record<string, string>> = Object.fromEntries(
  environment.map((variable) => variable.split('=')).filter(([name]) => name !== 'PATH'),
);
