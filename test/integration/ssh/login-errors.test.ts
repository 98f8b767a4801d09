// Logins that a real sshd refuses, accepts in part or breaks off: each cause that can be told apart has its own sentence.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectSocket, createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import type { Code } from '../../../src/contract/errors.ts';
import { silentLog } from '../../../src/process/log.ts';
import { createSshDriver } from '../../../src/sidecar/drivers/ssh/driver.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

/** How many lines of its log hold that text. */
const logged = (sshd: Sshd, text: string): number => sshd.log().filter((line) => line.includes(text)).length;

describe('a login that a real sshd', { timeout: 120_000 }, () => {
  let sshd: Sshd;
  let key: KeyPair;
  let rsa: KeyPair;
  let secret: SecretDirectory;
  before(async () => {
    sshd = await startSshd();
    key = await generateKey(sshd.directory);
    rsa = await generateKey(sshd.directory, { type: 'rsa' });
    sshd.authorize([key.publicKey, rsa.publicKey]);
  });
  after(() => sshd.stop());
  afterEach(() => secret[Symbol.dispose]());

  const connect = async (types: Parameters<Sshd['knownHosts']>[0] = {}, user = 'tunnel') =>
    await connectOnce(sshConfig([{ ...hopTo(sshd, secret), user }], { knownHosts: sshd.knownHosts(types) }));

  async function refused(code: Code, words: RegExp, types?: Parameters<Sshd['knownHosts']>[0]): Promise<void> {
    await assert.rejects(connect(types), (error: Error & { code?: unknown }) => {
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      return true;
    });
  }

  const secretOf = (pair: KeyPair, more: Readonly<Record<string, string>> = {}): SecretDirectory =>
    new SecretDirectory({ 'ssh-privatekey': pair.privateKey, ...more });

  for (const algorithm of ['rsa-sha2-256', 'rsa-sha2-512']) {
    test(`takes of RSA keys only ${algorithm} succeeds, with the key and with a certificate of it`, async () => {
      const authority = await generateKey(sshd.directory, { name: 'ca' });
      execFileSync('ssh-keygen', ['-q', '-s', authority.file, '-I', 'test', '-n', 'tunnel', `${rsa.file}.pub`]);
      const certificate = readFileSync(join(sshd.directory, 'id_rsa-cert.pub'), 'utf8');
      await sshd.configure([
        `PubkeyAcceptedAlgorithms ${algorithm},${algorithm}-cert-v01@openssh.com`,
        `TrustedUserCAKeys ${authority.file}.pub`,
      ]);
      secret = secretOf(rsa);
      await (await connect()).close();
      sshd.authorize([]);
      secret.write({ 'ssh-publickey-cert': certificate });
      await (await connect()).close();
      sshd.authorize([key.publicKey, rsa.publicKey]);
    });
  }

  test('refuses for the type of the key may do so for its type, which is named', async () => {
    await sshd.configure(['PubkeyAcceptedAlgorithms rsa-sha2-512']);
    secret = secretOf(key);
    await refused('AuthenticationFailed', /see its PubkeyAcceptedAlgorithms for ssh-ed25519/);
  });

  test('refuses for the size of the RSA key names it', async () => {
    await sshd.configure(['RequiredRSASize 4096']);
    secret = secretOf(rsa);
    // sshd ends in the key exchange if its own RSA key is too small: only the ed25519 key is known.
    await refused('AuthenticationFailed', /2048 bits.*RequiredRSASize/, { types: ['ed25519'] });
  });

  test('accepts the key of, but demands a password as well, is told as that', async () => {
    await sshd.configure(['AuthenticationMethods publickey,password', 'PasswordAuthentication yes']);
    secret = secretOf(key);
    await refused('AuthenticationFailed', /accepts the key of user tunnel, but demands a password as well/);
  });

  test('accepts the key of, but demands another key as well, is told as that', async () => {
    await sshd.configure(['AuthenticationMethods publickey,publickey']);
    secret = secretOf(key);
    await refused('AuthenticationFailed', /accepts the key of user tunnel, but demands another key as well/);
  });

  test('offers its RSA host key only with SHA-1 is no changed host key', async () => {
    await sshd.configure(['HostKeyAlgorithms ssh-rsa']);
    secret = secretOf(key);
    await refused('HandshakeFailed', /RSA key only with SHA-1 signatures/, { types: ['rsa'] });
  });

  test('shows only a host certificate is no changed host key', async () => {
    const authority = await generateKey(sshd.directory, { name: 'host-ca' });
    const hostKey = join(sshd.directory, 'host_ed25519');
    execFileSync('ssh-keygen', ['-q', '-s', authority.file, '-I', 'test', '-h', `${hostKey}.pub`]);
    await sshd.configure([`HostCertificate ${hostKey}-cert.pub`, 'HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com']);
    secret = secretOf(key);
    await refused('HandshakeFailed', /only a host certificate/, { types: ['ed25519'] });
  });

  test('has only a newer key exchange names what both sides have', async () => {
    await sshd.configure(['KexAlgorithms sntrup761x25519-sha512@openssh.com']);
    secret = secretOf(key);
    await refused(
      'HandshakeFailed',
      /offers “sntrup761x25519-sha512@openssh.com”; enable one of mlkem768x25519-sha256, curve25519-sha256/,
    );
  });

  for (const [what, options, words] of [
    ['for another user', ['-n', 'somebody'], /certificate is for other users/],
    ['not valid yet', ['-n', 'tunnel', '-V', '+1d:+2d'], /certificate is not valid yet/],
  ] as const) {
    test(`refuses a certificate that is ${what} says so`, async () => {
      const authority = await generateKey(sshd.directory, { name: 'ca' });
      const stranger = await generateKey(sshd.directory, { name: 'certified' });
      execFileSync('ssh-keygen', ['-q', '-s', authority.file, '-I', 'test', ...options, `${stranger.file}.pub`]);
      await sshd.configure([`TrustedUserCAKeys ${authority.file}.pub`]);
      secret = secretOf(stranger, {
        'ssh-publickey-cert': readFileSync(join(sshd.directory, 'certified-cert.pub'), 'utf8'),
      });
      await refused('AuthenticationFailed', words);
      const other = await generateKey(sshd.directory, { name: 'other' });
      secret.write({ 'ssh-privatekey': other.privateKey });
      await refused('AuthenticationFailed', /certificate belongs to another key/);
    });
  }

  test('takes a certificate of that permits no forwarding says so at the dial', async () => {
    const authority = await generateKey(sshd.directory, { name: 'ca' });
    const certified = await generateKey(sshd.directory, { name: 'certified' });
    const options = ['-n', 'tunnel', '-O', 'no-port-forwarding'];
    execFileSync('ssh-keygen', ['-q', '-s', authority.file, '-I', 'test', ...options, `${certified.file}.pub`]);
    await sshd.configure([`TrustedUserCAKeys ${authority.file}.pub`]);
    secret = secretOf(certified, {
      'ssh-publickey-cert': readFileSync(join(sshd.directory, 'certified-cert.pub'), 'utf8'),
    });
    const session = await connect();
    const dial = session.dial({ host: '127.0.0.1', port: 5432 }, { signal: AbortSignal.timeout(10_000) });
    await assert.rejects(dial, { code: 'ForwardingProhibited', message: /lacks permit-port-forwarding/ });
    await session.close();
  });
});

test('a bastion that refuses for a moment what it accepted before is asked again, once, after 8 s', {
  timeout: 60_000,
}, async (t) => {
  const sshd = await startSshd();
  t.after(() => sshd.stop());
  const key = await generateKey(sshd.directory);
  sshd.authorize([key.publicKey]);
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() });
  t.after(() => secret[Symbol.dispose]());
  const driver = createSshDriver(sshConfig([hopTo(sshd, secret)]), { podUid: 'test', log: silentLog() });
  t.after(() => driver.close());
  const [route] = await driver.routes({ signal: AbortSignal.timeout(10_000) });
  assert.ok(route);
  const connect = () => driver.connect(route, { signal: AbortSignal.timeout(30_000), log: silentLog() });
  await (await connect()).close();
  sshd.authorize([]);
  for (let attempt = 0; attempt < 5; attempt++) await assert.rejects(connect(), { code: 'LoginRefused' });
  sshd.authorize([key.publicKey]);
  // A changed Secret is no reason to wait.
  secret.write({ known_hosts: `${sshd.knownHosts()}\n` });
  await (await connect()).close();
  // sshd answers before its log is here; the line of the last login comes after those of the others.
  await eventually('both logins are logged', () => logged(sshd, 'Accepted publickey') === 2);
  assert.equal(logged(sshd, 'Failed publickey'), 1, 'sshd was asked once');
});

test('of two attempts at once, the one that is slower shows no credentials after the other was refused', {
  timeout: 60_000,
}, async (t) => {
  const sshd = await startSshd();
  t.after(() => sshd.stop());
  const key = await generateKey(sshd.directory);
  sshd.authorize([key.publicKey]);
  /** What lets the next connection through. */
  let gate: Promise<void> = Promise.resolve();
  const proxy = createServer((near) => {
    const far = connectSocket(sshd.port, sshd.host);
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.once('close', () => far.destroy());
    void gate.then(() => near.pipe(far).pipe(near));
  }).listen(0, '127.0.0.1');
  t.after(() => proxy.close());
  await once(proxy, 'listening');
  const { port } = proxy.address() as { port: number };
  const knownHosts = sshd.knownHosts({ name: `[127.0.0.1]:${port}` });
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: knownHosts });
  t.after(() => secret[Symbol.dispose]());
  const hop = hopTo({ host: '127.0.0.1', port }, secret);
  const driver = createSshDriver(sshConfig([hop]), { podUid: 'test', log: silentLog() });
  t.after(() => driver.close());
  const [route] = await driver.routes({ signal: AbortSignal.timeout(10_000) });
  assert.ok(route);
  const connect = () => driver.connect(route, { signal: AbortSignal.timeout(30_000), log: silentLog() });
  await (await connect()).close();
  sshd.authorize([]);
  const { promise, resolve: open } = Promise.withResolvers<void>();
  gate = promise;
  const arrived = once(proxy, 'connection');
  const slower = assert.rejects(connect(), { code: 'LoginRefused' });
  await arrived;
  gate = Promise.resolve();
  await assert.rejects(connect(), { code: 'LoginRefused' });
  open();
  await slower;
  // sshd answers before its log is here; the line of the last login comes after those of the others.
  sshd.authorize([key.publicKey]);
  secret.write({ known_hosts: `${knownHosts}\n` });
  await (await connect()).close();
  await eventually('the first login and the last are logged', () => logged(sshd, 'Accepted publickey') === 2);
  assert.equal(logged(sshd, 'Failed publickey'), 1, 'sshd saw one login');
});
