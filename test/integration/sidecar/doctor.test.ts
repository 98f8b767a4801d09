// `doctor` names the hop that is at fault: one world of a bastion, or of a destination behind it, for each step of the way.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { generateKey } from '../../../lab/private-network/sshd.ts';
import { closedPort, echo, serve } from '../../driver-suite/destinations.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { fullListener } from '../../support/full-listener.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { type Bastion, type ForwardOptions, startBastion, tunnelConfig } from './sidecar-world.ts';
import { onlyFault, outline, walk } from './walk.ts';

let bastion: Bastion;
before(async () => {
  bastion = await startBastion();
});
after(() => bastion.stop());

const toDatabase: ForwardOptions = { name: 'db', port: 5432 };
const hopAt = (host: string, port: number) => ({ ...bastion.hop, host, port });

test('a way that works is walked step by step, each with its time and what was seen', async (t) => {
  const echoing = await serve(echo);
  t.after(() => echoing.stop());
  const steps = await walk(tunnelConfig([bastion.hop], { forwards: [{ port: echoing.port }] }));
  assert.deepEqual(
    steps.map(({ step, ok }) => (ok ? step : `${step} failed`)),
    ['credentials', 'name', 'tcp', 'greeting', 'key exchange', 'host key', 'login', 'session', 'dial', 'protocol tcp'],
    outline(steps),
  );
  const seen = (step: string): string => steps.find((one) => one.step === step)?.facts.join('\n') ?? '';
  assert.match(seen('credentials'), /^Secret orders-bastion: key ssh-ed25519 SHA256:/);
  assert.match(seen('tcp'), /^connected to 127\.0\.0\.1 from 127\.0\.0\.1$/);
  assert.match(seen('greeting'), /^“SSH-2\.0-OpenSSH_[^”]+”$/);
  assert.match(seen('key exchange'), /^agreed on \S+, aes128-gcm@openssh\.com, ssh-ed25519$/);
  assert.ok(seen('host key').includes(await bastion.sshd.fingerprint()), seen('host key'));
  assert.match(seen('host key'), /matches line 1 of known_hosts in Secret orders-bastion$/);
  assert.match(seen('login'), /^accepted: ssh-ed25519 SHA256:\S+ of Secret orders-bastion$/);
  assert.match(seen('session'), /^a round trip takes \d+\.\d ms$/);
  assertEvery(steps, ({ ms }) => ms >= 0, 'each step has its time');
});

test('nothing of a walk is left open at the bastion', async () => {
  await walk(tunnelConfig([bastion.hop], { forwards: [toDatabase] }));
  await eventually('its session has ended', () => bastion.sshd.sessions().length === 0);
});

describe('a bad world on the way to the bastion', () => {
  /** Answers in place of a bastion. */
  const answering = async (handle: (socket: Socket) => void) => {
    const server = await serve(handle);
    return { hop: hopAt('127.0.0.1', server.port), stop: () => server.stop() };
  };

  test('a name that does not resolve', async () => {
    const steps = await walk(tunnelConfig([hopAt('no-such-host.invalid', 22)], { forwards: [toDatabase] }));
    const fault = onlyFault(steps, 'name', 'BastionNameNotResolved');
    assert.deepEqual(fault.advice, [{ where: 'where the tunnel runs', command: 'getent ahosts no-such-host.invalid' }]);
  });

  test('a closed port', async () => {
    const { port, stop } = await closedPort();
    const steps = await walk(tunnelConfig([hopAt('127.0.0.1', port)], { forwards: [toDatabase] }));
    const fault = onlyFault(steps, 'tcp', 'BastionRefused');
    assert.equal(fault.advice?.[0]?.command, `sudo ss -ltnp 'sport = :${port}'`);
    assert.match(fault.facts.join(), /ECONNREFUSED/);
    await stop();
  });

  test('packets that nobody answers', async () => {
    await using full = await fullListener();
    const ssh = { connectTimeoutSeconds: 1 };
    const steps = await walk(tunnelConfig([hopAt('127.0.0.1', full.port)], { forwards: [toDatabase], ssh }));
    onlyFault(steps, 'tcp', 'BastionTimeout');
  });

  test('a server that is not sshd: its own words are quoted, in printable characters', async (t) => {
    const http = await answering((socket) => void socket.end(`HTTP/1.1 400 \u001b[31mBad${'x'.repeat(400)}\r\n\r\n`));
    t.after(http.stop);
    const steps = await walk(tunnelConfig([http.hop], { forwards: [toDatabase] }));
    const { facts } = onlyFault(steps, 'greeting', 'HandshakeFailed');
    const said = facts.find((fact) => fact.startsWith('instead of a greeting it says “HTTP/1.1 400 ·[31mBadxxx')) ?? '';
    assert.ok(said !== '' && said.length < 240, facts.join('\n'));
  });

  test('a bastion that says why it greets nobody', async (t) => {
    const refusing = await answering((socket) => void socket.end('Exceeded MaxStartups\r\n'));
    t.after(refusing.stop);
    const steps = await walk(tunnelConfig([refusing.hop], { forwards: [toDatabase] }));
    const { facts } = onlyFault(steps, 'greeting', 'BastionRefusing');
    assert.deepEqual(facts, ['instead of a greeting it says “Exceeded MaxStartups”']);
  });

  test('no common key exchange', async (t) => {
    const odd = await startBastion({ config: ['KexAlgorithms sntrup761x25519-sha512@openssh.com'] });
    t.after(() => odd.stop());
    const steps = await walk(tunnelConfig([odd.hop], { forwards: [toDatabase] }));
    onlyFault(steps, 'key exchange', 'HandshakeFailed');
  });

  test('a connection that is cut during the key exchange', async (t) => {
    const cut = await answering((socket) => {
      socket.write('SSH-2.0-OpenSSH_9.9\r\n');
      socket.once('data', () => socket.resetAndDestroy());
    });
    t.after(cut.stop);
    onlyFault(await walk(tunnelConfig([cut.hop], { forwards: [toDatabase] })), 'key exchange', 'BastionLost');
  });

  test('an unknown, a changed and a revoked host key', async () => {
    const { sshd, privateKey } = bastion;
    using secret = new SecretDirectory({ 'ssh-privatekey': privateKey });
    const hop = { ...bastion.hop, credentials: { secretName: 'orders-bastion', directory: secret.directory } };
    const through = async (knownHosts: string) =>
      await walk(tunnelConfig([hop], { forwards: [toDatabase], ssh: { knownHosts } }));
    onlyFault(await through(''), 'host key', 'HostKeyUnknown');
    const stranger = await generateKey(sshd.directory, { name: 'another-host' });
    const name = `[${sshd.host}]:${sshd.port}`;
    onlyFault(await through(`${name} ${stranger.publicKey}`), 'host key', 'HostKeyChanged');
    const known = sshd.knownHosts({ types: ['ed25519'] }).trim();
    const { facts } = onlyFault(await through(`# old\n@revoked ${known}\n${known}`), 'host key', 'HostKeyRevoked');
    assert.ok(facts.includes('revoked by line 2 of spec.ssh.knownHosts'), facts.join('\n'));
  });

  test('a key that is not authorized: its outcome and what the host takes are named', async () => {
    const stranger = await generateKey(bastion.sshd.directory, { name: 'stranger' });
    using secret = new SecretDirectory({ 'ssh-privatekey': stranger.privateKey });
    const hop = { ...bastion.hop, credentials: { secretName: 'other', directory: secret.directory } };
    const ssh = { knownHosts: bastion.sshd.knownHosts() };
    const lines = bastion.sshd.log().length;
    const steps = await walk(tunnelConfig([hop], { forwards: [toDatabase], ssh }));
    const { facts, advice } = onlyFault(steps, 'login', 'AuthenticationFailed');
    assert.match(facts[0] ?? '', /^refused: ssh-ed25519 SHA256:\S+ of Secret other$/);
    assert.match(facts[1] ?? '', /^the host takes “[a-z, -]*publickey/);
    assert.match(advice?.[0]?.command ?? '', /getent passwd tunnel.*authorized_keys/);
    const logins = bastion.sshd
      .log()
      .slice(lines)
      .filter((line) => /Connection from/.test(line));
    assert.equal(logins.length, 1, 'one attempt a run');
  });

  test('an encrypted key without its passphrase, and a Secret that is not there', async () => {
    const locked = await generateKey(bastion.sshd.directory, { name: 'locked', passphrase: 'open sesame' });
    using secret = new SecretDirectory({ 'ssh-privatekey': locked.privateKey });
    const through = async (directory: string) =>
      await walk(
        tunnelConfig([{ ...bastion.hop, credentials: { secretName: 'keys', directory } }], { forwards: [toDatabase] }),
      );
    const fault = onlyFault(await through(secret.directory), 'credentials', 'PassphraseWrong');
    assert.equal(fault.advice?.[0]?.command, 'kubectl describe secret -n test keys');
    assert.ok(!JSON.stringify(fault).includes('sesame'));
    onlyFault(await through('/nowhere'), 'credentials', 'SecretNotFound');
  });

  test('sshd that is full', async (t) => {
    const full = await startBastion({ config: ['PerSourceMaxStartups 1'] });
    t.after(() => full.stop());
    const occupying = connect(full.sshd.port, full.sshd.host).on('error', () => undefined);
    t.after(() => occupying.destroy());
    await once(occupying, 'data');
    onlyFault(await walk(tunnelConfig([full.hop], { forwards: [toDatabase] })), 'greeting', 'BastionRefusing');
  });
});

describe('a bad world behind the bastion', () => {
  const through = async (forward: ForwardOptions) => await walk(tunnelConfig([bastion.hop], { forwards: [forward] }));

  test('a destination that refuses: sshd’s own words are quoted', async (t) => {
    const { port, stop } = await closedPort();
    t.after(stop);
    const { facts, advice } = onlyFault(await through({ port }), 'dial', 'DestinationRefused');
    assert.deepEqual(facts, [`bastion ${bastion.hop.host}:${bastion.hop.port} says “Connection refused”`]);
    const where = `on the bastion ${bastion.hop.host}:${bastion.hop.port}`;
    assert.deepEqual(advice, [{ where, command: `nc -vz -w 5 127.0.0.1 ${port}` }]);
  });

  test('a name that the bastion does not know', async () => {
    const destination = { host: 'orders.db.invalid', port: 5432 };
    const { advice } = onlyFault(await through({ port: 5432, destination }), 'dial', 'DestinationNameNotResolved');
    assert.equal(advice?.[0]?.command, 'getent ahosts orders.db.invalid');
  });

  test('a destination that does not answer', async () => {
    await using full = await fullListener();
    const config = tunnelConfig([bastion.hop], { forwards: [{ port: full.port }], ssh: { connectTimeoutSeconds: 5 } });
    onlyFault(await walk(config), 'dial', 'DestinationTimeout');
  });

  test('a service of another protocol, while the port beside it works', async (t) => {
    const echoing = await serve(echo);
    t.after(() => echoing.stop());
    const { hop } = bastion;
    const steps = await walk(
      tunnelConfig([hop], {
        forwards: [
          { name: 'fine', port: echoing.port },
          { name: 'db', port: hop.port, appProtocol: 'postgresql' },
        ],
      }),
    );
    const fault = onlyFault(steps, 'protocol postgresql', 'DestinationNotSpeaking');
    assert.equal(fault.at, `port db: 127.0.0.1:${hop.port}`);
    assert.equal(fault.advice?.[0]?.command, `pg_isready -h 127.0.0.1 -p ${hop.port}`);
  });

  test('forwarding that sshd prohibits, and a certificate that permits none', async (t) => {
    const strict = await startBastion({ config: ['AllowTcpForwarding no'] });
    t.after(() => strict.stop());
    onlyFault(await walk(tunnelConfig([strict.hop], { forwards: [toDatabase] })), 'dial', 'ForwardingProhibited');
    const authority = await generateKey(bastion.sshd.directory, { name: 'ca' });
    const user = await generateKey(bastion.sshd.directory, { name: 'certified' });
    const sign = ['-q', '-s', authority.file, '-I', 'test', '-n', 'tunnel', '-O', 'no-port-forwarding'];
    execFileSync('ssh-keygen', [...sign, `${user.file}.pub`]);
    const certificate = readFileSync(`${user.file}-cert.pub`, 'utf8');
    const certified = await startBastion({ config: [`TrustedUserCAKeys ${authority.file}.pub`] });
    t.after(() => certified.stop());
    using secret = new SecretDirectory({ 'ssh-privatekey': user.privateKey, 'ssh-publickey-cert': certificate });
    const hop = { ...certified.hop, credentials: { secretName: 'signed', directory: secret.directory } };
    const ssh = { knownHosts: certified.sshd.knownHosts() };
    const steps = await walk(tunnelConfig([hop], { forwards: [toDatabase], ssh }));
    onlyFault(steps, 'dial', 'ForwardingProhibited');
    const { facts = [] } = steps.find(({ step }) => step === 'session') ?? {};
    assert.ok(facts.includes('the certificate permits no forwarding'), outline(steps));
  });
});

describe('several machines', () => {
  test('each bastion is walked, and the fault is of the one that has it', async (t) => {
    const echoing = await serve(echo);
    t.after(() => echoing.stop());
    const { port, stop } = await closedPort();
    t.after(stop);
    const forwards = [{ name: 'echo', port: echoing.port }];
    const steps = await walk(tunnelConfig([hopAt('127.0.0.1', port), bastion.hop], { forwards }));
    const faults = steps.filter(({ ok }) => !ok);
    assert.deepEqual(
      faults.map(({ at, step, reason }) => ({ at, step, reason })),
      [{ at: `bastion 127.0.0.1:${port}`, step: 'tcp', reason: 'BastionRefused' }],
    );
    assert.equal(
      steps.at(-1)?.at,
      `port echo: 127.0.0.1:${echoing.port} through ${bastion.hop.host}:${bastion.hop.port}`,
    );
  });

  test('behind a jump host, the hop at fault is named', async (t) => {
    const { port, stop } = await closedPort();
    t.after(stop);
    const ssh = { jumpHosts: [bastion.hop] };
    const steps = await walk(tunnelConfig([hopAt('127.0.0.1', port)], { forwards: [toDatabase], ssh }));
    const fault = onlyFault(steps, 'dial from the jump host', 'BastionRefused');
    assert.equal(fault.at, `bastion 127.0.0.1:${port}`);
    assert.equal(fault.advice?.[0]?.where, `on the bastion 127.0.0.1:${port}`);
    assert.ok(
      steps.some(({ at, step, ok }) => at.startsWith('jump host ') && step === 'login' && ok),
      outline(steps),
    );
  });
});
