// `kubectl portforward open`: document and Secret from a real API server, a tunnel to a real bastion, and nothing left however it ends.
// Neighbours: status.test.ts, ../open.test.ts.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type ApiServer, startApiServer } from '../../../../lab/cluster/api-server.ts';
import { type Postgres, startPostgres } from '../../../../lab/private-network/postgres.ts';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../../lab/private-network/sshd.ts';
import { CommandFailed } from '../../../../lab/process/command.ts';
import { customers, documentThrough, ended, Folder, localPort } from '../laptop.ts';
import { Plugin } from './plugin.ts';

const crd = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', 'crds', 'portforward.yaml'), 'utf8');

let server: ApiServer;
let sshd: Sshd;
let postgres: Postgres;
let key: KeyPair;
let folder: Folder;
let plugin: Plugin;

suite('kubectl portforward open', () => {
  before(async () => {
    folder = new Folder();
    [server, sshd, postgres] = await Promise.all([
      startApiServer(),
      startSshd({ hosts: { 'orders.db.internal': '127.0.0.1' } }),
      startPostgres(),
    ]);
    key = await generateKey(folder.path);
    sshd.authorize([key.publicKey]);
    await server.kubectl(['apply', '-f', '-'], { input: crd });
    await server.untilServed('PortForward');
    await server.kubectl(['create', 'namespace', 'shop']);
    const ports = [
      { port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', destinationPort: postgres.port },
    ];
    await server.kubectl(['apply', '-f', '-'], {
      input: documentThrough(sshd, { ports, ssh: { knownHosts: sshd.knownHosts() } }),
    });
    const create = '-n shop create secret generic orders-bastion --from-literal=unrelated=never-read'.split(' ');
    await server.kubectl([...create, `--from-file=ssh-privatekey=${key.file}`]);
    await server.kubectl(['config', 'set-context', '--current', '--namespace=shop']);
    plugin = new Plugin(server.kubeconfig, { TMPDIR: folder.path, XDG_RUNTIME_DIR: folder.path });
  });
  after(async () => {
    plugin?.[Symbol.dispose]();
    await Promise.all([server?.stop(), sshd?.stop(), postgres?.stop()]);
    folder?.[Symbol.dispose]();
  });

  const places = (): string[] =>
    [folder.path, '/dev/shm'].flatMap((place) => readdirSync(place).map((name) => join(place, name)));

  test('names the Secret and the keys that it reads, carries psql, and leaves nothing after SIGKILL', async () => {
    const before = places();
    const opened = plugin.start('open', 'orders-db', '--port', '0:5432');
    try {
      const line = await opened.line(/^reads the Secret/);
      assert.equal(
        line,
        'reads the Secret shop/orders-bastion, of it only ssh-privatekey, identity, ssh-publickey-cert, passphrase, password, known_hosts',
      );
      assert.match(await customers(postgres, await localPort(opened, 'postgres')), /Ada/);
      const mine = places().filter((each) => !before.includes(each) && each.includes('portforward'));
      assert.deepEqual(mine, [], 'something was written while it runs');
      for (const file of ['cmdline', 'environ']) {
        const text = readFileSync(`/proc/${opened.pid}/${file}`, 'latin1');
        assert.ok(!text.includes(key.privateKey.split('\n')[1] ?? ''), file);
        assert.ok(!text.includes('never-read'), file);
      }
      opened.signal('SIGKILL');
      assert.equal((await ended(opened)).end, 'SIGKILL');
      assert.deepEqual(
        places().filter((each) => !before.includes(each) && each.includes('portforward')),
        [],
      );
      assert.ok(!opened.log().join('\n').includes('never-read'));
    } finally {
      await opened.stop();
    }
  });

  test('who may not read the Secret is told so in the words of the API server', async () => {
    const rules = { verb: 'get', resource: 'portforwards.portforward.dev' };
    await server.kubectl([
      '-n',
      'shop',
      'create',
      'role',
      'reader',
      `--verb=${rules.verb}`,
      `--resource=${rules.resource}`,
    ]);
    await server.kubectl(['-n', 'shop', 'create', 'rolebinding', 'ada', '--role=reader', '--user=ada']);
    const opened = plugin.start('open', 'orders-db', '--as=ada', '--port', '0:5432');
    const { end, output } = await ended(opened);
    assert.equal(end, 'exit 1', output);
    assert.match(output, /User "ada" cannot get resource "secrets" in API group "" in the namespace "shop"/);
  });

  test('a tunnel or a Secret that is not there ends it with the reason', async () => {
    const missing: unknown = await plugin.call('open', 'nobody').catch((error: unknown) => error);
    assert.ok(missing instanceof CommandFailed);
    assert.match(missing.stderr, /portforwards\.portforward\.dev "nobody" not found/);
    await server.kubectl([
      '-n',
      'shop',
      'patch',
      'portforward',
      'orders-db',
      '--type=merge',
      '-p',
      '{"spec":{"ssh":{"secretRef":{"name":"gone"}}}}',
    ]);
    const { end, output } = await ended(plugin.start('open', 'orders-db', '--port', '0:5432'));
    assert.equal(end, 'exit 1', output);
    assert.match(output, /secrets "gone" not found/);
  });
});
