// Installs Debian packages without starting any service of theirs.
// Neighbours: packages.ts has the list of the cluster's node, scripts/system-packages.ts that of the tests' peers.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { CommandFailed, command, succeeds } from '../process/command.ts';
import { withLock } from '../process/lock.ts';
import { processStart } from '../process/proc.ts';
import { findProgram } from './find-program.ts';

export interface InstallOptions {
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns when all of them are installed: as root, or by a sudo that asks for no password. Until the downloads are complete it ends when the
 * signal aborts; after that it first finishes, because half-unpacked packages would be left. @throws Error that names the packages and the command.
 */
export async function installPackages(names: readonly string[], { log, signal }: InstallOptions): Promise<void> {
  const front = await asRoot(names);
  const work = (): Promise<void> =>
    step(log, `install ${names.join(' ')}`, async () => {
      await aptGet(front, ['update'], signal);
      await aptGet(front, ['install', '--download-only', ...names], signal);
      await withoutStartingServices(front, () => aptGet(front, ['install', ...names]));
      signal?.throwIfAborted();
    });
  await withLock(join(cacheDirectory(), 'packages.lock'), work, signal === undefined ? {} : { signal });
}

/** The words before a command that needs root. */
async function asRoot(names: readonly string[]): Promise<readonly string[]> {
  const byHand = `sudo apt-get install --no-install-recommends ${names.join(' ')}`;
  if (findProgram('apt-get') === undefined) {
    throw new Error(`missing here: ${names.join(', ')} (Debian's names); install your system's packages for them`);
  }
  if (process.getuid?.() === 0) return [];
  const sudo = ['sudo', '--non-interactive'];
  if (await succeeds('sudo', ['--non-interactive', 'true'])) return sudo;
  throw new Error(`missing here: ${names.join(', ')}; this user may not install them, so call: ${byHand}`);
}

async function aptGet(front: readonly string[], words: readonly string[], signal?: AbortSignal): Promise<void> {
  // Through env, because sudo drops our environment. A mirror that drops one of many downloads must not end the run.
  const noQuestions = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  const patient = [
    '--yes',
    '--quiet',
    '--no-install-recommends',
    '-o',
    'Acquire::Retries=3',
    '-o',
    'DPkg::Lock::Timeout=300',
  ];
  const call = (program: readonly string[]): Promise<string> => {
    const [first = '', ...rest] = [...front, ...noQuestions, ...program];
    // sudo knows its caller by the terminal, which a process group of its own would not have.
    const ended = { interrupt: front.length === 0, ...(signal === undefined ? {} : { signal }) };
    return command(first, rest, { timeoutMs: 15 * 60_000, ...ended });
  };
  try {
    await call(['apt-get', ...words, ...patient]);
  } catch (error) {
    // Somebody's installation was killed in the middle: it is finished first.
    if (!(error instanceof CommandFailed && error.stderr.includes('dpkg --configure -a'))) throw error;
    await call(['dpkg', '--configure', '-a']);
    await call(['apt-get', ...words, ...patient]);
  }
}

const policy = '/usr/sbin/policy-rc.d';

/** Debian asks the policy before it starts a service. Ours allows everything again as soon as this process is gone, however it ended. */
const ourPolicy = `#!/bin/sh
# Written by PortForward while it installs packages, so that no service is started.
[ "$(sed 's/.*) //' /proc/${process.pid}/stat 2>/dev/null | cut -d ' ' -f 20)" = "${processStart}" ] && exit 101
exit 0
`;

async function withoutStartingServices(front: readonly string[], install: () => Promise<void>): Promise<void> {
  const ours = (): boolean => readFileSync(policy, 'utf8').includes('Written by PortForward');
  // A machine's own policy stays.
  if (existsSync(policy) && !ours()) return install();
  const shell = async (script: string, input = ''): Promise<void> => {
    const [first = 'sh', ...rest] = front;
    const shellWords = front.length === 0 ? [] : ['sh'];
    await command(first, [...rest, ...shellWords, '-c', script], { input });
  };
  await shell(`cat > ${policy} && chmod 755 ${policy}`, ourPolicy);
  try {
    await install();
  } finally {
    await shell(`rm -f ${policy}`);
  }
}
