// Each way in which a bastion or a destination fails has its own code, and a sentence that names the host, the port and the fix.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { type Code, TunnelError } from '../../../src/contract/errors.ts';
import type { Destination, SshConfig } from '../../../src/contract/tunnel-config.ts';
import type { Session } from '../../../src/sidecar/base/driver.ts';
import { closedPort } from '../../driver-suite/destinations.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, SecretDirectory, userKey } from './ssh-world.ts';

/** Connects, expects that code, checks the rules for every sentence, and returns the error. */
async function failsWith(config: SshConfig, code: Code, words?: RegExp): Promise<TunnelError> {
  let caught: unknown;
  try {
    await (await connectOnce(config)).close();
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof TunnelError, `${String(caught)} is a TunnelError`);
  assert.equal(caught.code, code, caught.message);
  assert.equal(caught.layer, 'bastion');
  const bastion = config.bastions[0];
  assert.ok(caught.message.includes(`${bastion?.host}:${bastion?.port}`), caught.message);
  if (words !== undefined) assert.match(caught.message, words);
  return caught;
}

/** Closes what a test opened, in reverse order. */
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  // Each of them, also where one fails.
  await using ends = new AsyncDisposableStack();
  for (const cleanup of cleanups.splice(0)) ends.defer(async () => await cleanup());
});

async function listener(handle: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    handle(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return port;
}

describe('failures on the way to the bastion', () => {
  let sshd: Sshd;
  let key: KeyPair;
  let secret: SecretDirectory;
  /** Ended newest first, also where a later start failed. */
  const started = new AsyncDisposableStack();
  after(async () => await started.disposeAsync());
  before(async () => {
    sshd = started.adopt(await startSshd({ password: 'correct horse' }), async (it) => await it.stop());
    key = await userKey(sshd);
    secret = started.use(new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() }));
  });

  const local = (port: number, more: Partial<SshConfig> = {}): SshConfig =>
    sshConfig([hopTo({ host: '127.0.0.1', port }, secret)], more);

  test('a name that does not resolve is BastionNameNotResolved', async () => {
    await failsWith(sshConfig([hopTo({ host: 'no-such-host.invalid', port: 22 }, secret)]), 'BastionNameNotResolved');
  });

  test('a closed port is BastionRefused', async () => {
    const { port, stop } = await closedPort();
    cleanups.push(stop);
    await failsWith(local(port), 'BastionRefused', /start sshd/);
  });

  test('a bastion that takes the connection and stays silent is BastionTimeout, within the deadline', async () => {
    const silent = await listener(() => undefined);
    const began = performance.now();
    await failsWith(local(silent, { connectTimeoutSeconds: 1 }), 'BastionTimeout', /handshake within 1 s/);
    assert.ok(performance.now() - began < 8000);
  });

  test('a bastion that falls silent in the middle of the key exchange is BastionTimeout', async () => {
    const halfway = await listener((socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n'));
    await failsWith(local(halfway, { connectTimeoutSeconds: 1 }), 'BastionTimeout');
  });

  for (const [how, handle] of [
    ['closes', (socket: Socket) => void socket.end()],
    ['resets', (socket: Socket) => void socket.resetAndDestroy()],
    ['says that it is full and closes', (socket: Socket) => void socket.end('Exceeded MaxStartups\r\n')],
  ] as const) {
    test(`a bastion that ${how} before its banner is BastionRefusing`, async () => {
      const refusing = await listener(handle);
      const error = await failsWith(local(refusing), 'BastionRefusing', /MaxStartups/);
      assert.equal(error.permanent, false);
    });
  }

  test('sshd that has too many unfinished logins is BastionRefusing', async (t) => {
    const full = await startSshd({ config: ['PerSourceMaxStartups 1'] });
    t.after(() => full.stop());
    const occupying = connect(full.port, full.host).on('error', () => undefined);
    t.after(() => occupying.destroy());
    await once(occupying, 'data');
    await failsWith(sshConfig([hopTo(full, secret)]), 'BastionRefusing');
  });

  test('an HTTP server is HandshakeFailed: it is not sshd', async () => {
    const http = await listener((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    await failsWith(local(http), 'HandshakeFailed', /not sshd/);
  });

  test('a bastion that breaks off during the key exchange is BastionLost, which is transient', async () => {
    const breaking = await listener((socket) => {
      socket.write('SSH-2.0-OpenSSH_9.9\r\n');
      socket.once('data', () => socket.resetAndDestroy());
    });
    const error = await failsWith(local(breaking), 'BastionLost');
    assert.equal(error.permanent, false);
  });

  for (const [what, line] of [
    ['key exchange', 'KexAlgorithms sntrup761x25519-sha512@openssh.com'],
    ['cipher', 'Ciphers aes128-cbc'],
  ] as const) {
    test(`a bastion without a common ${what} is HandshakeFailed and says so`, async () => {
      const odd = await startSshd({ config: [line] });
      const trust = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: odd.knownHosts() });
      await failsWith(
        sshConfig([hopTo(odd, trust)]),
        'HandshakeFailed',
        new RegExp(what === 'cipher' ? 'cipher' : what),
      );
      trust[Symbol.dispose]();
      await odd.stop();
    });
  }

  test('an unknown host key is HostKeyUnknown, with its fingerprint and the line to paste', async () => {
    const blank = new SecretDirectory({ 'ssh-privatekey': key.privateKey });
    const error = await failsWith(sshConfig([hopTo(sshd, blank)]), 'HostKeyUnknown');
    assert.ok(error.message.includes(await sshd.fingerprint()), error.message);
    const line = /knownHosts: (.+)$/.exec(error.message)?.[1] ?? '';
    const session = await connectOnce(sshConfig([hopTo(sshd, blank)], { knownHosts: line }));
    assert.equal(session.facts.hostKeyFingerprint, await sshd.fingerprint());
    await session.close();
    blank[Symbol.dispose]();
  });

  test('another host key than the known one is HostKeyChanged, and nothing of the login is sent', async () => {
    const impostor = await startSshd();
    const lines = sshd.knownHosts({ name: `[127.0.0.1]:${impostor.port}` });
    await failsWith(
      sshConfig([hopTo(impostor, secret)], { knownHosts: lines }),
      'HostKeyChanged',
      /another one is known/,
    );
    assertEvery(impostor.log(), (line) => !/publickey|user tunnel/.test(line), 'no login was tried');
    await impostor.stop();
  });

  test('a host that lost the known type of key is HostKeyChanged too', async () => {
    const server = await startSshd({ config: ['HostKeyAlgorithms ssh-ed25519'] });
    const knownHosts = server.knownHosts({ types: ['ecdsa'] });
    await failsWith(sshConfig([hopTo(server, secret)], { knownHosts }), 'HostKeyChanged', /ecdsa-sha2-nistp256/);
    await server.stop();
  });

  test('a revoked host key is HostKeyRevoked, even if host keys are not checked', async () => {
    const lines = sshd
      .knownHosts()
      .replaceAll(/^/gm, '@revoked ')
      .replace(/@revoked $/, '');
    for (const hostKeyPolicy of ['Strict', 'InsecureIgnore'] as const) {
      const error = await failsWith(
        sshConfig([hopTo(sshd, secret)], { knownHosts: lines, hostKeyPolicy }),
        'HostKeyRevoked',
      );
      assert.ok(error.message.includes(await sshd.fingerprint()), error.message);
    }
  });

  test('a key that is not authorized is AuthenticationFailed and names user and Secret', async () => {
    const stranger = await generateKey(sshd.directory, { name: 'stranger' });
    const wrong = new SecretDirectory({ 'ssh-privatekey': stranger.privateKey, known_hosts: sshd.knownHosts() });
    await failsWith(sshConfig([hopTo(sshd, wrong)]), 'AuthenticationFailed', /user tunnel with Secret orders-bastion/);
    wrong[Symbol.dispose]();
  });

  test('a user that does not exist, and a wrong password, are AuthenticationFailed', async () => {
    const nobody = { ...hopTo(sshd, secret), user: 'nobody-here' };
    await failsWith(sshConfig([nobody]), 'AuthenticationFailed', /nobody-here/);
    const wrong = new SecretDirectory({ password: 'wrong battery', known_hosts: sshd.knownHosts() });
    const error = await failsWith(sshConfig([hopTo(sshd, wrong)]), 'AuthenticationFailed');
    assert.ok(!error.message.includes('wrong battery'));
    wrong[Symbol.dispose]();
  });

  test('a password is sent only to a host that the Secret’s own known_hosts has', async () => {
    const own = new SecretDirectory({ password: 'correct horse' });
    const byDocument = sshConfig([hopTo(sshd, own)], { knownHosts: sshd.knownHosts() });
    await failsWith(byDocument, 'PasswordNotTrusted', /key known_hosts of the same Secret/);
    assertEvery(sshd.log(), (line) => !/Accepted password/.test(line), 'no password was accepted');
    own.write({ known_hosts: sshd.knownHosts() });
    const session = await connectOnce(byDocument);
    await eventually('its login is logged', () => sshd.log().some((line) => /Accepted password/.test(line)));
    await session.close();
    own[Symbol.dispose]();
  });

  test('with a key that fails and a password that is withheld, the sentence says both', async () => {
    const stranger = await generateKey(sshd.directory, { name: 'stranger2' });
    const both = new SecretDirectory({ 'ssh-privatekey': stranger.privateKey, password: 'correct horse' });
    const config = sshConfig([hopTo(sshd, both)], { knownHosts: sshd.knownHosts() });
    await failsWith(config, 'AuthenticationFailed', /password was not sent/);
    both[Symbol.dispose]();
  });

  test('a hop without a Secret is SecretNotFound', async () => {
    await failsWith(sshConfig([hopTo(sshd)]), 'SecretNotFound', /spec\.ssh\.secretRef/);
  });
});

describe('failures behind the bastion', () => {
  let secret: SecretDirectory;
  before(() => {
    secret = new SecretDirectory();
  });
  after(() => secret[Symbol.dispose]());

  async function sessionWith(options: Parameters<typeof startSshd>[0] = {}): Promise<{ sshd: Sshd; session: Session }> {
    const sshd = await startSshd(options);
    cleanups.push(() => sshd.stop());
    const { privateKey } = await userKey(sshd);
    secret.write({ 'ssh-privatekey': privateKey, known_hosts: sshd.knownHosts() });
    const session = await connectOnce(sshConfig([hopTo(sshd, secret)]));
    cleanups.push(() => session.close());
    return { sshd, session };
  }

  async function dialFails(
    options: Parameters<typeof startSshd>[0],
    destination: Destination,
    code: Code,
    words: RegExp,
  ) {
    const { session } = await sessionWith(options);
    await assert.rejects(session.dial(destination, { signal: AbortSignal.timeout(30_000) }), (error) => {
      assert.ok(error instanceof TunnelError);
      assert.equal(error.code, code, error.message);
      assert.equal(error.layer, 'destination');
      assert.match(error.message, words);
      return true;
    });
    assert.equal(session.signal.aborted, false);
    assert.equal(session.streams, 0);
  }

  test('a name that only the bastion would know is DestinationNameNotResolved', () =>
    dialFails({}, { host: 'orders.db.invalid', port: 5432 }, 'DestinationNameNotResolved', /orders\.db\.invalid:5432/));

  test('AllowTcpForwarding no is ForwardingProhibited', () =>
    dialFails(
      { config: ['AllowTcpForwarding no'] },
      { host: '127.0.0.1', port: 5432 },
      'ForwardingProhibited',
      /127\.0\.0\.1:5432/,
    ));

  test('PermitOpen of another port is ForwardingProhibited', () =>
    dialFails(
      { config: ['PermitOpen 127.0.0.1:1'] },
      { host: '127.0.0.1', port: 5432 },
      'ForwardingProhibited',
      /PermitOpen/,
    ));

  test('an address that cannot be reached from the bastion is DestinationUnreachable', () =>
    dialFails({}, { host: '255.255.255.255', port: 5432 }, 'DestinationUnreachable', /255\.255\.255\.255:5432/));

  test('a unix socket that is not there is DestinationUnreachable', () =>
    dialFails({}, { socket: '/run/nothing/.s.PGSQL.5432' }, 'DestinationUnreachable', /\/run\/nothing/));

  test('AllowStreamLocalForwarding no looks the same on the wire, so the sentence names it too', () =>
    dialFails(
      { config: ['AllowStreamLocalForwarding no'] },
      { socket: '/run/postgresql/.s.PGSQL.5432' },
      'DestinationUnreachable',
      /AllowStreamLocalForwarding/,
    ));

  test('sshd out of file descriptors is DestinationUnreachable, and old streams stay', async () => {
    const { session } = await sessionWith({ openFiles: 32 });
    const server = await listener((socket) => void socket.pipe(socket));
    const dial = () => session.dial({ host: '127.0.0.1', port: server }, { signal: AbortSignal.timeout(30_000) });
    const first = await dial();
    const results = await Promise.allSettled(Array.from({ length: 60 }, dial));
    const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as TunnelError] : []));
    assert.ok(failed.length > 10, `${failed.length} failed`);
    for (const error of failed) assert.equal(error.code, 'DestinationUnreachable');
    first.write('still here');
    assert.equal(String((await once(first, 'data'))[0]), 'still here');
  });

  test('a deadline of the caller is DestinationTimeout', async () => {
    const { sshd, session } = await sessionWith();
    // sshd forks the process that serves the session after the login: only then can all of it be stopped.
    const { port, stop } = await closedPort();
    cleanups.push(stop);
    await assert.rejects(session.dial({ host: '127.0.0.1', port }, { signal: AbortSignal.timeout(30_000) }));
    sshd.pause();
    const attempt = session.dial({ host: 'orders.db.internal', port: 5432 }, { signal: AbortSignal.timeout(300) });
    await assert.rejects(attempt, { code: 'DestinationTimeout', message: /orders\.db\.internal:5432/ });
    sshd.resume();
  });
});
