// Node's flags in the image, for tests and benchmarks that run a tunnel as a process of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const dockerfile = readFileSync(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8');
const entrypoint = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(dockerfile)?.[1] ?? '[]') as readonly string[];

/** The arguments between `node` and the program in the image's entry point. */
export const nodeFlags: readonly string[] = entrypoint.slice(entrypoint.indexOf('node') + 1, -1);
