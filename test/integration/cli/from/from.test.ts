// `portforward from` as a person uses it: the page's own screen, a tunnel opened from an ssh command, and a document applied to a cluster.
// Neighbours: ssh-g.test.ts; test/unit/cli/from/ has the commands that are understood.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { startApiServer } from '../../../../lab/cluster/api-server.ts';
import { type Postgres, startPostgres } from '../../../../lab/private-network/postgres.ts';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../../lab/private-network/sshd.ts';
import { freePort } from '../../../../lab/process/ports.ts';
import { documentText, outcomeLines, secretLines } from '../../../../src/cli/from/print.ts';
import { translate } from '../../../../src/cli/from/translate.ts';
import { Home } from '../../../unit/cli/from/home.ts';
import { readPage } from '../../docs/markdown.ts';
import { customers, ended, Folder, portforward } from '../laptop.ts';

const root = join(import.meta.dirname, '..', '..', '..', '..');

test('the screen of docs/laptop.md is what the command prints', () => {
  using home = new Home();
  const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIA2cqgEa5gyRzjN4tHHVL2gdm9C0oQZhc5KyHJVQ3lTj';
  home.write('.ssh/id_ed25519', 'a key');
  home.write('.ssh/known_hosts', `[bastion-a.example.com]:2222 ssh-ed25519 ${key}\n`);
  home.write(
    '.ssh/config',
    'Host bastion\n  HostName bastion-a.example.com\n  Port 2222\n  User tunnel\n  ServerAliveInterval 30\n  Compression yes\n',
  );
  const block = readPage('docs/laptop.md').blocks.find(({ text }) => text.startsWith('$ portforward from -- '));
  const [prompt = '', ...screen] = block?.text.trimEnd().split('\n') ?? [];
  const words = prompt.replace('$ portforward from -- ', '').split(' ');
  const translation = translate(words, {
    name: undefined,
    namespace: undefined,
    keepLocalPorts: false,
    machine: home.machine,
  });
  const printed = [
    ...documentText(translation).trimEnd().split('\n'),
    '',
    'The Secret:',
    ...secretLines(translation.secrets, undefined).map((line) => `  ${line}`),
    ...outcomeLines(translation.outcomes),
  ].map((line) => line.replaceAll(home.path, '/home/ada').replace(key, 'AAAA…'));
  assert.deepEqual(printed, screen);
});

suite('portforward from', () => {
  let sshd: Sshd;
  let postgres: Postgres;
  let key: KeyPair;
  let folder: Folder;
  let config: string;

  before(async () => {
    folder = new Folder();
    [sshd, postgres] = await Promise.all([
      startSshd({ hosts: { 'orders.db.internal': '127.0.0.1' } }),
      startPostgres(),
    ]);
    key = await generateKey(folder.path);
    sshd.authorize([key.publicKey]);
    const knownHosts = folder.write('known_hosts', sshd.knownHosts());
    config = folder.write(
      'config',
      `Host bastion
  HostName ${sshd.host}
  Port ${sshd.port}
  User ${sshd.user}
  IdentityFile ${key.file}
  UserKnownHostsFile ${knownHosts}
  ProxyCommand none
`,
    );
  });
  after(async () => {
    await Promise.all([sshd?.stop(), postgres?.stop()]);
    folder?.[Symbol.dispose]();
  });

  const forward = (local: number): string => `${local}:orders.db.internal:${postgres.port}`;

  test('prints the document alone to standard output, so that it can be piped', () => {
    const words = ['from', '-n', 'shop', '--', 'ssh', '-F', config, '-N', '-L', forward(15432), 'bastion'];
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'src/main.ts'), ...words], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const { metadata, spec } = parse(stdout) as {
      metadata: object;
      spec: { ports: { port: number }[]; ssh: { knownHosts: string } };
    };
    assert.deepEqual(metadata, { name: 'orders-db', namespace: 'shop' });
    assert.equal(spec.ports[0]?.port, postgres.port);
    assert.deepEqual(
      spec.ssh.knownHosts.trim().split('\n').toSorted(),
      sshd.knownHosts().trim().split('\n').toSorted(),
    );
    assert.match(
      stderr,
      new RegExp(`kubectl -n shop create secret generic orders-db-ssh --from-file=ssh-privatekey=${key.file}`),
    );
    assert.ok(!`${stdout}${stderr}`.includes(key.privateKey.split('\n')[1] ?? ''), 'the key was printed');
  });

  test('--open carries psql by the keys and host keys that ssh would use, at once', async () => {
    const local = await freePort();
    const opened = portforward(['from', '--open', '--', 'ssh', '-F', config, '-N', '-L', forward(local), 'bastion']);
    try {
      await opened.line(/connected via/);
      const line = await opened.line(/ → orders\.db\.internal:/);
      assert.ok(line.startsWith(`127.0.0.1:${local} → `), line);
      assert.match(await customers(postgres, local), /Ada/);
      opened.signal('SIGINT');
      assert.equal((await ended(opened)).end, 'exit 0');
    } finally {
      await opened.stop();
    }
  });

  test('--apply needs a context, and applies there; the Secret is left to the person', async () => {
    const server = await startApiServer();
    try {
      await server.kubectl(['apply', '-f', '-'], { input: readFileSync(join(root, 'crds/portforward.yaml'), 'utf8') });
      await server.untilServed('PortForward');
      const context = (await server.kubectl(['config', 'current-context'])).trim();
      const call = (...options: string[]) =>
        ended(
          portforward(['from', ...options, '--', 'ssh', '-F', config, '-L', forward(15432), 'bastion'], {
            KUBECONFIG: server.kubeconfig,
          }),
        );
      const without = await call('--apply');
      assert.equal(without.end, 'exit 2', without.output);
      assert.match(
        without.output,
        /--apply needs --context NAME: the current context of the kubeconfig is never used here/,
      );
      const applied = await call('--apply', '--context', context);
      assert.equal(applied.end, 'exit 0', applied.output);
      const told = `Applied. Follow it: kubectl portforward status orders-db -n default --context=${context}\nIts pods wait for the Secret above, in the same namespace.`;
      assert.ok(applied.output.includes(told), applied.output);
      assert.match(applied.output, new RegExp(`kubectl --context=${context} create secret generic orders-db-ssh `));
      assert.equal(
        await server.kubectl(['get', 'portforward', '-o', 'name']),
        'portforward.portforward.dev/orders-db\n',
      );
      const elsewhere = await call('--apply', '--context', 'elsewhere');
      assert.equal(elsewhere.end, 'exit 1', elsewhere.output);
      assert.match(elsewhere.output, /context .*elsewhere/);
    } finally {
      await server.stop();
    }
  });
});
