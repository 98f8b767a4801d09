// OpenSSH 10 beside the machine's own: Debian's backport, unpacked into the cache, never installed.
// Neighbours: debian.ts installs packages; test/integration/ssh starts it through lab/private-network/sshd.ts.
import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { command } from '../process/command.ts';
import { withLock } from '../process/lock.ts';

export interface OpensshTen {
  readonly sshd: string;
  /** Lines of sshd_config that tell it where its other programs are. */
  readonly config: readonly string[];
}

const major = 10;

/** Fetched once. @throws Error with apt's words, where this machine's release has no backport of it. */
export async function ensureOpensshTen(log: Log, signal?: AbortSignal): Promise<OpensshTen> {
  const kept = join(cacheDirectory(), `openssh-${major}`);
  const files: OpensshTen = {
    sshd: join(kept, 'usr/sbin/sshd'),
    config: [
      `SshdSessionPath ${join(kept, 'usr/lib/openssh/sshd-session')}`,
      `SshdAuthPath ${join(kept, 'usr/lib/openssh/sshd-auth')}`,
    ],
  };
  if (existsSync(files.sshd)) return files;
  mkdirSync(cacheDirectory(), { recursive: true });
  await withLock(join(cacheDirectory(), 'openssh.lock'), async () => {
    if (existsSync(files.sshd)) return;
    await step(log, `fetch OpenSSH ${major}`, () => fetchTo(kept, signal));
  });
  return files;
}

/** Apt works in directories of its own: the machine's lists and sources stay as they are. */
async function fetchTo(kept: string, signal: AbortSignal | undefined): Promise<void> {
  const work = mkdtempSync(join(cacheDirectory(), '.openssh-'));
  try {
    const source = join(work, 'backports.list');
    writeFileSync(source, await backports());
    for (const part of ['lists/partial', 'cache/archives/partial', 'root'])
      mkdirSync(join(work, part), { recursive: true });
    const own = [
      `Dir::Etc::sourcelist=${source}`,
      'Dir::Etc::sourceparts=/dev/null',
      `Dir::State::lists=${join(work, 'lists')}`,
      `Dir::Cache=${join(work, 'cache')}`,
      'Acquire::Retries=3',
      // The directory belongs to this user, not to apt's.
      'APT::Sandbox::User=root',
    ].flatMap((option) => ['-o', option]);
    const ended = { cwd: work, timeoutMs: 300_000, ...(signal === undefined ? {} : { signal }) };
    await command('apt-get', ['--quiet', ...own, 'update'], ended);
    await command('apt-get', ['--quiet', ...own, 'download', 'openssh-server'], ended);
    const [archive = ''] = globSync('openssh-server_*.deb', { cwd: work });
    const root = join(work, 'root');
    await command('dpkg-deb', ['-x', archive, root], ended);
    await assertMajor(join(root, 'usr/sbin/sshd'));
    rmSync(kept, { recursive: true, force: true });
    renameSync(root, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The line of apt for the backports of this machine's release, from the mirror that the machine uses itself. */
async function backports(): Promise<string> {
  const format = '$(REPO_URI) $(CODENAME) $(COMPONENT)';
  const targets = await command('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const [, mirror, release] = /^(\S+) (\w+) main$/m.exec(targets) ?? [];
  if (mirror === undefined)
    throw new Error(`OpenSSH ${major} is fetched from Debian’s backports, and apt knows no mirror`);
  return `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} ${release}-backports main\n`;
}

async function assertMajor(sshd: string): Promise<void> {
  // It prints its version to standard error.
  const version = await command('sh', ['-c', '"$0" -V 2>&1', sshd]);
  if (!version.startsWith(`OpenSSH_${major}.`))
    throw new Error(`the backport is ${version.trim()}, not OpenSSH ${major}`);
}
