// Builds a Go program of this folder once for its sources and keeps it in the cache. Neighbours: session-manager.ts and plugin.ts start them.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../../lab/base/places.ts';
import { withLock } from '../../lab/process/lock.ts';
import { findGo, goBuild } from '../../lab/programs/go.ts';

export interface GoProgram {
  readonly name: string;
  /** The folder with its go.mod. */
  readonly directory: string;
  /** What to build: `.`, or a package that the go.mod pins. */
  readonly package: string;
  /** The longest that its build may take, on two cores that do other things too. Default: 10 minutes. */
  readonly buildLimitMs?: number;
}

const log = (line: string): void => void process.stderr.write(`${line}\n`);

/** The path of the program, built if its sources have changed. @throws Error with the compiler's output. */
export async function goProgram({
  name,
  directory,
  package: target,
  buildLimitMs = 600_000,
}: GoProgram): Promise<string> {
  const hash = createHash('sha256').update(target);
  for (const file of globSync('*.{go,mod,sum}', { cwd: directory }).toSorted()) {
    hash.update(`\0${file}\0`).update(readFileSync(join(directory, file)));
  }
  const bin = join(cacheDirectory(), 'bin');
  const program = join(bin, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(program)) return program;
  mkdirSync(bin, { recursive: true });
  await withLock(
    join(cacheDirectory(), `${name}.lock`),
    async () => {
      if (existsSync(program)) return;
      const go = await findGo(log);
      log(`  … building ${name}, minutes the first time`);
      const unfinished = `${program}.unfinished`;
      await goBuild(go, ['-o', unfinished, target], { cwd: directory, timeoutMs: buildLimitMs });
      renameSync(unfinished, program);
    },
    { onWait: (holder: number) => log(`  … waiting for process ${holder}, which builds ${name}`) },
  );
  return program;
}
