// A release of the sources as they are, made by the command that makes real ones and kept in the cache by everything that goes into it.
// Neighbours: base-layout.ts; test/integration/release/ judges it, test/cluster/release.test.ts installs it.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../../../lab/base/places.ts';
import { command } from '../../../lab/process/command.ts';
import { withLock } from '../../../lab/process/lock.ts';
import { baseLayout } from './base-layout.ts';

const root = join(import.meta.dirname, '..', '..', '..');

/** The version that the sources name. */
export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

export interface ReleaseFolder {
  readonly folder: string;
  readonly base: string;
}

/** Makes it where the cache lacks it: about half a minute on two idle cores, once Node, compiler and base are there. */
export async function releaseFolder(): Promise<ReleaseFolder> {
  const base = await baseLayout();
  const kept = join(cacheDirectory(), 'release', 'folders');
  mkdirSync(kept, { recursive: true });
  const folder = join(kept, await keyOf(base));
  await withLock(join(kept, 'lock'), async () => {
    if (existsSync(folder)) return;
    // One is 370 MB: those of other sources go when no run can be at them any more.
    const hourAgo = Date.now() - 3_600_000;
    for (const entry of readdirSync(kept, { withFileTypes: true })) {
      const old = join(kept, entry.name);
      if (entry.isDirectory() && statSync(old).mtimeMs < hourAgo) rmSync(old, { recursive: true, force: true });
    }
    await makeRelease(folder, base);
  });
  return { folder, base };
}

/** `npm run release` into `folder`, as a rehearsal: tests run on sources that are in the middle of a change. */
async function makeRelease(folder: string, base: string, env: Record<string, string> = {}): Promise<void> {
  const args = ['scripts/release.ts', '--version', version, '--base', base, '--output', folder, '--rehearsal'];
  await command(process.execPath, args, { cwd: root, timeoutMs: 8 * 60_000, env });
}

async function keyOf(base: string): Promise<string> {
  const hash = createHash('sha256').update(base);
  const commit = await command('git', ['-C', root, 'log', '-1', '--format=%H']);
  hash
    .update(commit)
    .update((await command('git', ['-C', root, 'status', '--porcelain'])) === '' ? 'clean' : 'changed');
  const files = ['src/**/*.ts', 'scripts/**/*.{ts,mjs}', 'helm/**', '*.json', 'Dockerfile', 'CHANGELOG.md', 'LICENSE'];
  for (const entry of globSync(files, { cwd: root, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    hash.update(file.slice(root.length)).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}
