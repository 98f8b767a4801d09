// The bastion's /etc is its own: what another program does to the machine's users meanwhile does not reach it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { command } from '../../../lab/process/command.ts';

const lab = join(import.meta.dirname, '..', '..', '..', 'lab');

test('sshd keeps its user when another program renames /etc/passwd', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-etc-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  // The renaming is done to a copy of /etc, in a mount namespace that both share.
  const script = `
    import { renameSync, copyFileSync } from 'node:fs';
    import { generateKey, startSshd } from ${JSON.stringify(join(lab, 'private-network/sshd.ts'))};
    import { command } from ${JSON.stringify(join(lab, 'process/command.ts'))};
    const key = await generateKey(${JSON.stringify(directory)});
    const sshd = await startSshd({ authorizedKeys: [key.publicKey] });
    try {
      for (const name of ['passwd', 'shadow', 'group', 'hosts', 'nsswitch.conf']) {
        copyFileSync('/etc/' + name, '/etc/' + name + '.new');
        renameSync('/etc/' + name + '.new', '/etc/' + name);
      }
      const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
      const args = ['-i', key.file, '-p', String(sshd.port), ...options.flatMap((one) => ['-o', one])];
      console.log(await command('ssh', [...args, 'tunnel@127.0.0.1', 'id -un']));
    } finally {
      await sshd.stop();
    }`;
  const inCopy = `cp -a /etc ${directory}/copy && mount --bind ${directory}/copy /etc && exec "$0" --input-type=module-typescript --eval "$1"`;
  const own = ['--mount', '--propagation', 'private', 'sh', '-c', inCopy];
  assert.equal((await command('unshare', [...own, process.execPath, script])).trim(), 'tunnel');
});
