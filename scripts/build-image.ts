// `npm run build:image -- --tag NAME[:TAG] [--prebuilt] [--base IMAGE]`: the container image, by whichever builder this machine has.
// Neighbours: Dockerfile (its stages), build.ts (the bundle that --prebuilt takes).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram } from '../lab/programs/find-program.ts';

const { values } = parseArgs({
  options: {
    tag: { type: 'string', default: 'portforward:latest' },
    /** Takes dist/ as it was built here, where the build inside a container has no network. */
    prebuilt: { type: 'boolean', default: false },
    base: { type: 'string' },
  },
});

const builder = ['docker', 'podman', 'buildah'].find(works);
if (builder === undefined) {
  console.error('no container builder works here: start Docker, or install podman or buildah');
  process.exit(1);
}
const root = join(import.meta.dirname, '..');
if (values.prebuilt) must(process.execPath, ['scripts/build.ts']);
must(builder, [
  'build',
  ...(values.prebuilt ? ['--target', 'prebuilt'] : []),
  ...(values.base === undefined ? [] : ['--build-arg', `BASE_IMAGE=${values.base}`]),
  '--tag',
  values.tag,
  '.',
]);
console.log(`built ${values.tag} for this machine’s architecture; to push it: ${builder} push ${values.tag}`);

/** Docker's client answers without an engine behind it, so it is asked for what only the engine knows. */
function works(program: string): boolean {
  return findProgram(program) !== undefined && spawnSync(program, ['info'], { timeout: 20_000 }).status === 0;
}

function must(program: string, args: readonly string[]): void {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
