// Packages are installed while a policy keeps their services off; the policy goes with the installation, and does nothing once its
// process was killed. apt-get is a script of the test's, and the machine's /usr/sbin is covered by a layer of its own.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';

const lab = join(import.meta.dirname, '..', '..', '..', 'lab');
const policy = '/usr/sbin/policy-rc.d';
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portforward-debian-'));
  // What it is called with is written down, and what the policy says meanwhile; while the file `slow` exists it takes its time.
  const aptGet = `#!/bin/sh
echo "$*" >> ${directory}/calls
case "$*" in
  *--download-only*) if [ -e ${directory}/slow-download ]; then echo > ${directory}/downloading; sleep 600; fi;;
  install*)
    ${policy} service start; echo "policy $?" >> ${directory}/calls
    echo > ${directory}/installing
    while [ -e ${directory}/slow ]; do sleep 0.05; done
    echo installed >> ${directory}/calls;;
esac
`;
  writeFileSync(join(directory, 'apt-get'), aptGet);
  chmodSync(join(directory, 'apt-get'), 0o755);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** An installation of `frob`; the second line of its output is what the policy says afterwards, once `killed` or ended. */
function install(before = ''): ChildProcess {
  const script = `
    import { runScript } from ${JSON.stringify(join(lab, 'process/script.ts'))};
    import { installPackages } from ${JSON.stringify(join(lab, 'programs/debian.ts'))};
    await runScript((signal) => installPackages(['frob'], { log: () => {}, signal }));`;
  const layer = `mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/mnt/upper,workdir=/mnt/work /usr/sbin`;
  const after = `echo "ended $?" >> ${directory}/calls; if [ -e ${policy} ]; then ${policy} service start; echo "left, policy $?" >> ${directory}/calls; fi`;
  const words = `${layer} && rm -f ${policy}; ${before}
"$0" --input-type=module-typescript --eval "$1" & echo $! > ${directory}/pid; wait $!
${after}`;
  return spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', words, process.execPath, script], {
    env: { ...process.env, PATH: `${directory}:${process.env['PATH']}`, PF_CACHE_DIR: join(directory, 'cache') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

const pid = (): number => Number(readFileSync(join(directory, 'pid'), 'utf8'));
const calls = (): string[] => readFileSync(join(directory, 'calls'), 'utf8').trim().split('\n');
const reached = (name: string): Promise<number> => eventually(name, () => existsSync(join(directory, name)));

test('the policy is there while packages are unpacked, and gone afterwards', async () => {
  await once(install(), 'exit');
  const [update, download, unpack, ...rest] = calls();
  assert.match(`${update}\n${download}\n${unpack}`, /^update .*\ninstall --download-only frob .*\ninstall frob .*$/);
  assert.deepEqual(rest, ['policy 101', 'installed', 'ended 0']);
});

test('a machine’s own policy stays', async () => {
  await once(install(`printf '#!/bin/sh\\nexit 104\\n' > ${policy}; chmod 755 ${policy}`), 'exit');
  assert.deepEqual(calls().slice(3), ['policy 104', 'installed', 'ended 0', 'left, policy 104']);
});

test('Ctrl-C ends a download at once, and lets an installation that has begun finish', async () => {
  writeFileSync(join(directory, 'slow-download'), '');
  const first = install();
  await reached('downloading');
  process.kill(pid(), 'SIGTERM');
  await once(first, 'exit');
  assert.deepEqual(calls().slice(2), ['ended 143']);

  rmSync(join(directory, 'slow-download'));
  writeFileSync(join(directory, 'slow'), '');
  const second = install();
  await reached('installing');
  process.kill(pid(), 'SIGTERM');
  rmSync(join(directory, 'slow'));
  await once(second, 'exit');
  assert.deepEqual(calls().slice(-3), ['policy 101', 'installed', 'ended 143']);
});

test('after a kill the policy that is left allows everything', async () => {
  writeFileSync(join(directory, 'slow'), '');
  const child = install();
  await reached('installing');
  process.kill(pid(), 'SIGKILL');
  await once(child, 'exit');
  rmSync(join(directory, 'slow'));
  assert.ok(calls().includes('left, policy 0'), calls().join('\n'));
});
