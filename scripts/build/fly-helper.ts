// The helper of the fly driver: WireGuard and TCP in user space, a static Go program beside the bundles.
// Neighbours: ../build.ts (for this machine), ../release.ts (for each architecture of a release), src/sidecar/drivers/fly/helper/ (its sources).
import { join } from 'node:path';
import type { Log } from '../../lab/base/progress.ts';
import { findGo, goBuild } from '../../lab/programs/go.ts';
import { defined } from '../../src/contract/defined.ts';
import { helperName } from '../../src/sidecar/drivers/fly/helper/program.ts';

export { helperName };

const sources = join(import.meta.dirname, '..', '..', 'src', 'sidecar', 'drivers', 'fly', 'helper');

/** Writes the program into `folder`. The same sources give the same bytes. @throws Error where there is no Go, or it fails */
export async function buildFlyHelper(
  folder: string,
  { log, architecture, signal }: { readonly log: Log; readonly architecture?: string; readonly signal?: AbortSignal },
): Promise<string> {
  const { program, env } = await findGo(log, signal);
  const file = join(folder, helperName);
  const go = { program, env: { ...env, ...defined({ GOARCH: architecture }) } };
  const args = ['-trimpath', '-ldflags=-s -w -buildid=', '-o', file, '.'];
  await goBuild(go, args, { cwd: sources, timeoutMs: 600_000, ...defined({ signal }) });
  return file;
}
