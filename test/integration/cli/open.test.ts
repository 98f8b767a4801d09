import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { type Postgres, startPostgres } from '../../../lab/private-network/postgres.ts';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import type { Child } from '../../../lab/process/child.ts';
import { customers, documentThrough, ended, Folder, localPort, portforward } from './laptop.ts';

let sshd: Sshd;
let postgres: Postgres;
let key: KeyPair;
let folder: Folder;

before(async () => {
  folder = new Folder();
  [sshd, postgres] = await Promise.all([startSshd({ hosts: { 'orders.db.internal': '127.0.0.1' } }), startPostgres()]);
  key = await generateKey(folder.path);
  sshd.authorize([key.publicKey]);
  folder.write('keys/ssh-privatekey', key.privateKey);
});

after(async () => {
  await Promise.all([sshd.stop(), postgres.stop()]);
  folder[Symbol.dispose]();
});

/** The database behind the bastion, as a document's port. */
const database = () => ({
  port: 5432,
  name: 'postgres',
  destinationHost: 'orders.db.internal',
  destinationPort: postgres.port,
  appProtocol: 'postgresql',
});

const document = (more: Readonly<Record<string, unknown>> = {}): string =>
  folder.write(
    `orders-${crypto.randomUUID()}.yaml`,
    documentThrough(sshd, { ports: [database()], ssh: { knownHosts: sshd.knownHosts() }, ...more }),
  );

const keys = (): string[] => ['--secret', `orders-bastion=${join(folder.path, 'keys')}`];

test('the document of the cluster carries psql to the private database, prints each address and the state, and ends cleanly on Ctrl-C', async () => {
  const opened = portforward(['open', '-f', document(), ...keys(), '--port', '0:5432']);
  try {
    const port = await localPort(opened, 'postgres');
    const line = await opened.line(/→/);
    assert.equal(line, `127.0.0.1:${port} → orders.db.internal:${postgres.port} (postgres)`);
    const connected = await opened.line(/connected via/);
    assert.ok(connected.includes(`${sshd.host}:${sshd.port}`), connected);
    assert.ok(connected.includes(await sshd.fingerprint()), connected);
    assert.equal((await customers(postgres, port)).trim(), 'Ada\nGrace\nBarbara');
    await opened.line(/postgres: the destination answers/);
    opened.signal('SIGINT');
    const { end, output } = await ended(opened);
    assert.equal(end, 'exit 0', output);
  } finally {
    await opened.stop();
  }
});

test('an open connection does not keep Ctrl-C waiting, and is reset', async () => {
  const echo = createTcpServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const ports = [{ port: 7000, destinationPort: (echo.address() as AddressInfo).port }];
  const opened = portforward(['open', '-f', document({ ports }), ...keys(), '--port', '0:7000']);
  try {
    const client = connect(await localPort(opened, 'p7000'), '127.0.0.1');
    client.write('hello');
    await once(client, 'data');
    const lost = Promise.withResolvers<NodeJS.ErrnoException>();
    client.once('error', lost.resolve).once('end', () => lost.reject(new Error('a clean end')));
    opened.signal('SIGINT');
    assert.equal((await ended(opened, 5_000)).end, 'exit 0');
    assert.equal((await lost.promise).code, 'ECONNRESET');
  } finally {
    await opened.stop();
    echo.close();
  }
});

test('an outage of the bastion shows while it lasts and heals by itself', async () => {
  const bastion = await startSshd({ authorizedKeys: [key.publicKey] });
  const ports = [{ ...database(), destinationHost: 'localhost' }];
  const file = folder.write(
    'outage.yaml',
    documentThrough(bastion, { ports, ssh: { knownHosts: bastion.knownHosts() } }),
  );
  const opened = portforward(['open', '-f', file, ...keys(), '--port', '0:5432']);
  try {
    const port = await localPort(opened, 'postgres');
    await opened.line(/postgres: the destination answers/);
    await allSessionsThere(bastion, opened);
    const before = opened.log().length;
    await bastion.kill();
    await opened.line(/not connected, trying again: .*refuse/i, 15_000, before);
    await bastion.start();
    await opened.line(/connected via/, 15_000, before + 1);
    assert.match(await customers(postgres, port), /Ada/);
  } finally {
    await opened.stop();
    await bastion.stop();
  }
});

/** A connection that is being opened while sshd is killed would outlive it. */
async function allSessionsThere(bastion: Sshd, opened: Child): Promise<void> {
  let [seen, since] = [0, performance.now()];
  await opened.until(() => {
    const now = bastion.sessions().length;
    if (now !== seen) [seen, since] = [now, performance.now()];
    return performance.now() - since > 500;
  }, 10_000);
}

test('a Secret manifest in the same file is used, and its content is gone when the command ends', async () => {
  const runtime = new Folder();
  const secret = stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'orders-bastion', namespace: 'shop' },
    data: { known_hosts: Buffer.from(sshd.knownHosts()).toString('base64'), unrelated: 'c2VjcmV0' },
    stringData: { 'ssh-privatekey': key.privateKey },
  });
  const file = folder.write('both.yaml', `${secret}---\n${documentThrough(sshd, { ports: [database()] })}`);
  const opened = portforward(['open', '-f', file, '--port', '0:5432'], {
    XDG_RUNTIME_DIR: runtime.path,
    TMPDIR: runtime.path,
  });
  try {
    assert.match(await customers(postgres, await localPort(opened, 'postgres')), /Ada/);
    assert.deepEqual(readdirSync(runtime.path), [], 'the Secret is in memory alone');
    // What a closed terminal sends.
    opened.signal('SIGHUP');
    assert.equal((await ended(opened)).end, 'exit 0');
    assert.deepEqual(readdirSync(runtime.path), []);
  } finally {
    await opened.stop();
    runtime[Symbol.dispose]();
  }
});

test('a key that the bastion does not accept ends the command with 1, the reason and the fix', async () => {
  const stranger = await generateKey(folder.path, { name: 'stranger' });
  folder.write('stranger-keys/ssh-privatekey', stranger.privateKey);
  const opened = portforward([
    'open',
    '-f',
    document(),
    '--secret',
    `orders-bastion=${join(folder.path, 'stranger-keys')}`,
    '--port',
    '0:5432',
  ]);
  try {
    const { end, output } = await ended(opened);
    assert.equal(end, 'exit 1', output);
    assert.match(output, /AuthenticationFailed/);
    assert.match(output, /AuthenticationFailed: bastion .*: correct the user, the Secret or authorized_keys$/m);
    assert.doesNotMatch(output, /Correct spec/, 'the fix is printed once');
    assert.ok(!output.includes('PRIVATE KEY'));
  } finally {
    await opened.stop();
  }
});

test('a folder without the keys ends the command with 1, the folder and the key that it wants', async () => {
  const wrong = join(folder.path, 'wrong');
  folder.write('wrong/id_ed25519', key.privateKey);
  const opened = portforward(['open', '-f', document(), '--secret', `orders-bastion=${wrong}`, '--port', '0:5432']);
  try {
    const { end, output } = await ended(opened);
    assert.equal(end, 'exit 1', output);
    assert.match(
      output,
      /SecretNotFound: the folder \S+\/wrong has none .* orders-bastion .*: add ssh-privatekey there/,
    );
    assert.doesNotMatch(output, /namespace|cluster/, 'nothing here is a cluster');
  } finally {
    await opened.stop();
  }
});

test('an unknown host key ends it, and --allow-insecure-host-keys is needed beside InsecureIgnore', async () => {
  const unknown = portforward(['open', '-f', document({ ssh: {} }), ...keys(), '--port', '0:5432']);
  const insecure = document({ ssh: { hostKeyPolicy: 'InsecureIgnore' } });
  const refused = portforward(['open', '-f', insecure, ...keys(), '--port', '0:5432']);
  const allowed = portforward(['open', '-f', insecure, ...keys(), '--port', '0:5432', '--allow-insecure-host-keys']);
  try {
    const first = await ended(unknown);
    assert.equal(first.end, 'exit 1', first.output);
    assert.match(first.output, /HostKeyUnknown/);
    const second = await ended(refused);
    assert.equal(second.end, 'exit 2', second.output);
    assert.match(second.output, /--allow-insecure-host-keys/);
    assert.match(await customers(postgres, await localPort(allowed, 'postgres')), /Ada/);
  } finally {
    await Promise.all([unknown.stop(), refused.stop(), allowed.stop()]);
  }
});

test('a local port that is taken is named, with the option that fixes it', async () => {
  const taken = createTcpServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const opened = portforward(['open', '-f', document(), ...keys(), '--port', `${port}:5432`]);
  try {
    const { end, output } = await ended(opened);
    assert.equal(end, 'exit 2', output);
    assert.match(
      output,
      new RegExp(`127\\.0\\.0\\.1:${port} is taken by another program: choose another with --port \\d+:5432`),
    );
  } finally {
    await opened.stop();
    taken.close();
  }
});

test('with --address 0.0.0.0 the machine’s other addresses lead to the destination too, and the command says so', async () => {
  const web = createServer((_request, response) => void response.end('from the private network'));
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const ports = [{ port: 8080, destinationPort: (web.address() as AddressInfo).port, appProtocol: 'http' }];
  const opened = portforward([
    'open',
    '-f',
    document({ ports }),
    ...keys(),
    '--port',
    '0:8080',
    '--address',
    '0.0.0.0',
  ]);
  try {
    const port = await localPort(opened, 'p8080');
    await opened.line(/shared: everybody who reaches this machine/);
    // All of 127.0.0.0/8 is this machine, and 127.0.0.1 alone would not answer here.
    const answer = await fetch(`http://127.0.0.2:${port}/`);
    assert.equal(await answer.text(), 'from the private network');
  } finally {
    await opened.stop();
    web.close();
  }
});

test('the Secret comes from the cluster of a named context, never from the current one', async () => {
  const server: ApiServer = await startApiServer();
  const opened: Child[] = [];
  try {
    await server.kubectl(['create', 'namespace', 'shop']);
    await server.kubectl([
      '-n',
      'shop',
      'create',
      'secret',
      'generic',
      'orders-bastion',
      `--from-file=ssh-privatekey=${key.file}`,
    ]);
    const context = (await server.kubectl(['config', 'current-context'])).trim();
    const env = { KUBECONFIG: server.kubeconfig };
    const call = (more: readonly string[], file = document()): Child => {
      const child = portforward(['open', '-f', file, '--port', '0:5432', ...more], env);
      opened.push(child);
      return child;
    };
    assert.match(await customers(postgres, await localPort(call(['--context', context]), 'postgres')), /Ada/);

    const without = await ended(call([]));
    assert.equal(without.end, 'exit 2', without.output);
    assert.match(without.output, /the Secret orders-bastion is missing here/);

    const elsewhere = await ended(call(['--context', 'elsewhere']));
    assert.match(elsewhere.output, new RegExp(`--context elsewhere: the kubeconfig has ${context}`));

    await server.kubectl(['-n', 'shop', 'delete', 'secret', 'orders-bastion']);
    const missing = await ended(call(['--context', context]));
    assert.equal(missing.end, 'exit 2', missing.output);
    assert.match(missing.output, /the Secret shop\/orders-bastion of the context .* does not exist/);
  } finally {
    await Promise.all(opened.map((child) => child.stop()));
    await server.stop();
  }
});

test('wrong calls are refused in a sentence that names the fix', async () => {
  const second = documentThrough(sshd).replace('name: orders-db', 'name: other-db');
  const two = folder.write('two.yaml', `${documentThrough(sshd)}---\n${second}`);
  const invalid = folder.write('invalid.yaml', documentThrough(sshd, { ports: [{ port: 70000 }] }));
  const empty = folder.write('empty.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n');
  const calls: readonly (readonly [readonly string[], RegExp])[] = [
    [['-f', two], /there are shop\/orders-db, shop\/other-db: choose one with --name/],
    [['-f', two, '--name', 'third'], /but not third/],
    [['-f', invalid], /spec\.ports\[0\]\.port: must be at most 65535/],
    [['-f', empty], /there is no PortForward/],
    [['-f', join(folder.path, 'nowhere.yaml')], /there is no such file/],
    [
      ['-f', two, '--name', 'other-db'],
      /the Secret orders-bastion is missing here: give --secret orders-bastion=DIRECTORY/,
    ],
    [['-f', document(), ...keys(), '--port', '1:2:3'], /write LOCAL:PORT/],
    [['-f', document(), ...keys(), '--port', '15432:5433'], /the document has the ports 5432 \(postgres\)/],
    [['-f', document(), '--secret', 'other=./keys'], /the document names orders-bastion/],
    [[], /required option '-f, --filename <file\.\.\.>' not specified/],
    [['-f', document(), '--prot', '0:5432'], /unknown option '--prot'/],
  ];
  for (const [args, sentence] of calls) {
    const child = portforward(['open', ...args]);
    const { end, output } = await ended(child);
    assert.equal(end, 'exit 2', output);
    assert.match(output, sentence);
  }
});

test('a call without a command is a wrong one too; help is not', async () => {
  assert.equal((await ended(portforward([]))).end, 'exit 2');
  for (const args of [['--help'], ['help'], ['open', '--help']]) {
    const { end, output } = await ended(portforward(args));
    assert.equal(end, 'exit 0', output);
    assert.match(output, /^Usage: portforward/m);
  }
});

test('a bastion that refuses the login does not end the command while the next one is still tried', async () => {
  const refusing = await startSshd();
  const file = folder.write(
    'two-bastions.yaml',
    documentThrough(sshd, {
      ports: [database()],
      ssh: {
        bastions: [refusing, sshd].map(({ host, port }) => ({ host, port })),
        knownHosts: `${refusing.knownHosts()}${sshd.knownHosts()}`,
      },
    }),
  );
  const opened = portforward(['open', '-f', file, ...keys(), '--port', '0:5432']);
  try {
    assert.match(await opened.line(/connected via/), new RegExp(`${sshd.host}:${sshd.port}`));
    assert.match(await customers(postgres, await localPort(opened, 'postgres')), /Ada/);
  } finally {
    await opened.stop();
    await refusing.stop();
  }
});

test('a rotated key in the folder is used for the next session without a restart', async () => {
  const own = new Folder();
  const first = await generateKey(own.path, { name: 'first' });
  const second = await generateKey(own.path, { name: 'second' });
  const server = await startSshd({ authorizedKeys: [first.publicKey] });
  own.write('keys/ssh-privatekey', first.privateKey);
  const file = own.write(
    'pf.yaml',
    documentThrough(server, {
      ports: [{ port: 5432 }],
      ssh: { knownHosts: server.knownHosts() },
    }),
  );
  const secret = `orders-bastion=${join(own.path, 'keys')}`;
  const opened = portforward(['open', '-f', file, '--secret', secret, '--port', '0:5432']);
  try {
    await opened.line(/connected via/);
    server.authorize([second.publicKey]);
    own.write('keys/ssh-privatekey', second.privateKey);
    const before = opened.log().length;
    // Stops the whole server: a session that is being opened at that moment would outlive the others.
    await server.kill();
    await server.start();
    await opened.line(/connected via/, 20_000, before);
    assert.equal(opened.end, undefined);
  } finally {
    await opened.stop();
    await server.stop();
    own[Symbol.dispose]();
  }
});

test('connections over replaced sessions have the drain timeout of the document, although Ctrl-C does not wait', async () => {
  const own = new Folder();
  // One more than the replaced sessions that are kept without a limit.
  const rotations = 5;
  const all = await Promise.all(
    Array.from({ length: rotations + 1 }, (_, index) => generateKey(own.path, { name: `key-${index}` })),
  );
  const server = await startSshd({ authorizedKeys: all.map(({ publicKey }) => publicKey) });
  const echo = createTcpServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const use = (index: number): string => own.write('keys/ssh-privatekey', all[index]?.privateKey ?? '');
  use(0);
  const ports = [{ port: 7000, destinationPort: (echo.address() as AddressInfo).port }];
  const file = own.write('pf.yaml', documentThrough(server, { ports, ssh: { knownHosts: server.knownHosts() } }));
  const secret = `orders-bastion=${join(own.path, 'keys')}`;
  const opened = portforward(['open', '-f', file, '--secret', secret, '--port', '0:7000', '-v']);
  const clients: Socket[] = [];
  const echoed = async (client: Socket): Promise<void> => {
    client.write('x');
    await once(client, 'data');
  };
  try {
    const port = await localPort(opened, 'p7000');
    await opened.line(/connected via/);
    for (let index = 1; index <= rotations; index++) {
      const client = connect(port, '127.0.0.1');
      clients.push(client);
      await echoed(client);
      const before = opened.log().length;
      use(index);
      await opened.line(/new connections go over this session now/, 20_000, before);
    }
    for (const client of clients) await echoed(client);
  } finally {
    for (const client of clients) client.destroy();
    await opened.stop();
    await server.stop();
    echo.close();
    own[Symbol.dispose]();
  }
});
