// Node's flags and the variables in the image, for tests and benchmarks that run a tunnel as a process of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const dockerfile = readFileSync(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8');
const entrypoint = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(dockerfile)?.[1] ?? '[]') as readonly string[];

/** The arguments between `node` and the program in the image's entry point. */
export const nodeFlags: readonly string[] = entrypoint.slice(entrypoint.indexOf('node') + 1, -1);

/** The variables that the stage `runtime` sets, but for the path. */
export const imageEnvironment: Readonly<Record<string, string>> = Object.fromEntries(
  (/^FROM .* AS runtime$[^]*?^ENV ((?:.*\\\n)*.*)/m.exec(dockerfile)?.[1] ?? '')
    .split(/[\s\\]+/)
    .map((assignment) => assignment.split('='))
    .filter(([name]) => name !== 'PATH'),
);
