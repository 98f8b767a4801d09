// Chart and image of an earlier commit, for the upgrade from there. Needs the repository's history and takes two minutes, so no suite asks
// for it by itself (CONTRIBUTING.md).
// Neighbours: ../../cluster/release.test.ts (asks for it), lab/cluster/operator.ts (the image of the sources as they are).
import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheDirectory } from '../../../lab/base/places.ts';
import type { Cluster } from '../../../lab/cluster/cluster.ts';
import { command } from '../../../lab/process/command.ts';
import type * as NativeEngine from '../../../scripts/native-engine.mjs';
import { nodeHeaders } from '../../fuzz/native/sanitized-addon.ts';

const root = join(import.meta.dirname, '..', '..', '..');

export interface EarlierRelease {
  /** The folder of its chart. */
  readonly chart: string;
  /** Loaded into the cluster. */
  readonly image: string;
}

/** Builds it with the packages of the sources as they are. @throws CommandFailed if there is no such commit. */
export async function earlierRelease(cluster: Cluster, commit: string): Promise<EarlierRelease> {
  const id = (await command('git', ['rev-parse', '--short=12', `${commit}^{commit}`], { cwd: root })).trim();
  const sources = join(cacheDirectory(), `sources-${id}`);
  if (!existsSync(sources)) await command('git', ['worktree', 'add', '--detach', sources, id], { cwd: root });
  try {
    if (!existsSync(join(sources, 'node_modules')))
      symlinkSync(join(root, 'node_modules'), join(sources, 'node_modules'));
    const limit = { cwd: sources, timeoutMs: 600_000 };
    if (existsSync(join(sources, 'native'))) await buildEngineOf(sources);
    await command(process.execPath, ['scripts/build.ts'], limit);
    const image = `localhost/portforward/portforward:from-${id}`;
    await cluster.buildImage({
      dockerfile: join(sources, 'Dockerfile'),
      context: sources,
      tag: image,
      target: 'prebuilt',
    });
    const chart = join(cacheDirectory(), `chart-${id}`);
    rmSync(chart, { recursive: true, force: true });
    await command('cp', ['-a', join(sources, 'helm'), chart]);
    return { chart, image };
  } finally {
    await command('git', ['worktree', 'remove', '--force', sources], { cwd: root });
  }
}

/** Its own engine, which its image asks for. Its run.mjs is not asked: it would install the packages of its own lock into those of the sources as they are. */
async function buildEngineOf(sources: string): Promise<void> {
  const script = pathToFileURL(join(sources, 'scripts', 'native-engine.mjs')).href;
  const { addonFlags, addonSources, compile } = (await import(script)) as typeof NativeEngine;
  const file = join(sources, 'native', 'build', 'engine.node');
  const options = [...addonFlags, `-I${nodeHeaders()}`];
  if (!(await compile(addonSources(), file, { options, link: ['-shared', '-s'] }))) {
    throw new Error(`the engine of ${sources} could not be compiled: see above`);
  }
}
