// Reasons reach the real clients (docs/promises.md, promise 3): without a stream, psql, redis-cli, mariadb and curl print our sentence.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CommandFailed, command } from '../../../lab/process/command.ts';
import type { Sidecar } from '../../../src/sidecar/sidecar.ts';
import { closedPort } from '../../driver-suite/destinations.ts';
import {
  type Bastion,
  client,
  endOf,
  openSidecar,
  portOf,
  startBastion,
  tunnelConfig,
  until,
  untilConnected,
} from './sidecar-world.ts';

let bastion: Bastion;
let sidecar: Sidecar;
let closed: Awaited<ReturnType<typeof closedPort>>;

const protocols = ['postgresql', 'redis', 'mysql', 'http', 'tcp', 'tls'] as const;

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  bastion = started.adopt(await startBastion(), async (it) => await it.stop());
  closed = started.adopt(await closedPort(), async (it) => await it.stop());
  const destination = { host: '127.0.0.1', port: closed.port };
  const forwards = protocols.map((appProtocol, index) => ({
    name: appProtocol,
    port: 7000 + index,
    destination,
    appProtocol,
  }));
  const config = tunnelConfig([bastion.hop], { forwards });
  sidecar = started.adopt(await openSidecar(config), async (it) => await it.stop());
  await untilConnected(sidecar);
});

const port = (protocol: (typeof protocols)[number]): number => portOf(sidecar, protocols.indexOf(protocol));

/** What a program printed on both outputs, whatever its exit status. */
async function output(program: string, args: readonly string[]): Promise<string> {
  try {
    return await command(program, args, { timeoutMs: 60_000 });
  } catch (error) {
    if (error instanceof CommandFailed) return error.stdout + error.stderr;
    throw error;
  }
}

const sentence = (): RegExp =>
  new RegExp(`portforward: 127\\.0\\.0\\.1:${closed.port} .*refuse.*\\(DestinationRefused\\)`, 'i');

test('psql prints the reason with every sslmode but the strict ones, which print libpq’s own', async () => {
  for (const mode of ['disable', 'allow', 'prefer']) {
    const target = `host=127.0.0.1 port=${port('postgresql')} user=x dbname=x connect_timeout=30 sslmode=${mode}`;
    assert.match(await output('psql', ['-X', '-c', 'SELECT 1', target]), sentence(), mode);
  }
  for (const mode of ['require', 'verify-full']) {
    const target = `host=127.0.0.1 port=${port('postgresql')} user=x dbname=x connect_timeout=30 sslmode=${mode} sslrootcert=/etc/ssl/certs/ca-certificates.crt`;
    assert.match(await output('psql', ['-X', '-c', 'SELECT 1', target]), /server does not support SSL/, mode);
  }
});

test('redis-cli prints the reason', async () => {
  assert.match(await output('redis-cli', ['-h', '127.0.0.1', '-p', `${port('redis')}`, 'GET', 'x']), sentence());
  assert.match(await output('redis-cli', ['-3', '-h', '127.0.0.1', '-p', `${port('redis')}`, 'GET', 'x']), sentence());
});

test('mariadb prints the reason', async () => {
  const args = ['--host=127.0.0.1', `--port=${port('mysql')}`, '--user=x', '--password=x', '--execute=SELECT 1'];
  assert.match(await output('mariadb', ['--no-defaults', ...args]), sentence());
});

test('curl gets 503 with the reason', async () => {
  const text = await output('curl', [
    '--silent',
    '--include',
    '--noproxy',
    '*',
    `http://127.0.0.1:${port('http')}/orders`,
  ]);
  assert.match(text, /^HTTP\/1\.1 503 /);
  assert.match(text, sentence());
  const head = await output('curl', ['--silent', '--head', '--noproxy', '*', `http://127.0.0.1:${port('http')}/`]);
  assert.match(head, /^HTTP\/1\.1 503 /);
});

test('a large upload that nobody can take can still read its 503', async () => {
  const url = `http://127.0.0.1:${port('http')}/upload`;
  const args = [
    '--silent',
    '--include',
    '--noproxy',
    '*',
    '--header',
    'Expect:',
    '--data-binary',
    '@/usr/bin/curl',
    url,
  ];
  assert.match(await output('curl', args), /^HTTP\/1\.1 503 /);
});

test('protocols without a message for it get a reset', async () => {
  for (const protocol of ['tcp', 'tls'] as const) {
    const socket = await client(sidecar, protocols.indexOf(protocol));
    assert.equal(await endOf(socket), 'ECONNRESET', protocol);
  }
});

test('a client that sends nothing is not kept forever', async () => {
  const socket = await client(sidecar, protocols.indexOf('redis'));
  assert.equal(await endOf(socket), 'ECONNRESET');
});

test('without a session the reason is the bastion’s, after at most 5 s', async () => {
  await bastion.sshd.kill();
  try {
    await until(sidecar, () => sidecar.status().reason === 'BastionRefused');
    const from = performance.now();
    const text = await output('redis-cli', ['-h', '127.0.0.1', '-p', `${port('redis')}`, 'GET', 'x']);
    assert.match(text, /portforward: .*refuse.*\(BastionRefused\)/i);
    assert(performance.now() - from < 20_000);
  } finally {
    await bastion.sshd.start();
  }
});
