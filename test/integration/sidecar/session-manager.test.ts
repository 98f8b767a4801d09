// The tunnel pod as a process through Session Manager: ready, bytes, status, the reason of every bad world, and the drain.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { startPostgres } from '../../../lab/private-network/postgres.ts';
import { CommandFailed } from '../../../lab/process/command.ts';
import type { Code } from '../../../src/contract/errors.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { assertSome } from '../../support/assert-every.ts';
import { SessionManager, type Switches } from '../../support/ssm/session-manager.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { type Pod, startPod, whileAccepting } from './pod.ts';
import { openSidecar, psql, ssmTunnelConfig, until } from './sidecar-world.ts';

const node = 'i-0123456789abcdef0';

let manager: SessionManager;
let secret: SecretDirectory;
let service: Service;
const pods: Pod[] = [];

before(async () => {
  [manager, service] = await Promise.all([SessionManager.start(), serve(echo)]);
  const { accessKeyId, secretAccessKey } = manager.credentials;
  secret = new SecretDirectory({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
});

afterEach(async () => {
  for (const pod of pods.splice(0)) await pod.child.kill();
});

after(async () => {
  await service.stop();
  await manager.stop();
  secret[Symbol.dispose]();
});

type Ssm = Partial<Extract<TunnelConfig, { driver: 'ssm' }>['ssm']>;

async function start(ssm: Ssm = {}, from: SecretDirectory = secret): Promise<{ pod: Pod; port: number }> {
  const config = ssmTunnelConfig(manager, from, {
    forwards: [{ name: 'echo', port: service.port }],
    connection: { drainTimeoutSeconds: 10 },
    ssm,
  });
  const pod = await startPod(config);
  pods.push(pod);
  return { pod, port: pod.ports[0] ?? 0 };
}

const ready = async (pod: Pod): Promise<void> =>
  await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);

async function openClient(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** Sends the bytes and resolves with as many that came back. */
async function echoed(socket: Socket, bytes: Buffer): Promise<Buffer> {
  const got: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      got.push(chunk);
      length += chunk.length;
      if (length < bytes.length) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error(`closed after ${length} of ${bytes.length} bytes`)));
  });
  socket.write(bytes);
  await all;
  return Buffer.concat(got);
}

test('it becomes ready, reports node and session, carries bytes, and drains on SIGTERM', async () => {
  const { pod, status, client, late } = await whileAccepting(async () => {
    const { pod, port } = await start();
    await ready(pod);
    const status = await pod.json('/statusz');
    const { sessions } = await manager.seen();
    assert.equal(status['state'], 'Connected');
    assert.equal(status['via'], node);
    assertSome(
      sessions,
      ({ id, reason }) => id === status['sessionId'] && reason === 'portforward/test/orders-db/uid-1',
      'the session carries its reason',
    );
    const client = await openClient(port);
    const bytes = randomBytes(300_000);
    assert.ok((await echoed(client, bytes)).equals(bytes));
    const use = async () => {
      const late = await openClient(port);
      assert.equal(String(await echoed(late, Buffer.from('accepted although draining'))), 'accepted although draining');
      return { pod, status, client, late };
    };
    return { pod, use };
  });
  assert.equal(String(await echoed(client, Buffer.from('still carried'))), 'still carried');
  late.end();
  client.end();
  assert.equal(await pod.ended(), 'exit 0');
  await eventually('the session is ended', async () => {
    const mine = (await manager.seen()).sessions.find(({ id }) => id === status['sessionId']);
    return mine?.status !== 'Connected';
  });
});

test('as many sessions are kept as the document says, and connections are spread over them', async () => {
  const before = new Set((await manager.seen()).sessions.map(({ id }) => id));
  const { pod, port } = await start({ sessions: 3 });
  await pod.child.until(async () => (await pod.metric('portforward_tunnel_sessions{part="live"}')) === 3, 30_000);
  // An attempt that was slow is joined by another, and the session of the loser is ended a little later.
  await eventually('three sessions, no more', async () => {
    const { sessions } = await manager.seen();
    return sessions.filter(({ id, status }) => !before.has(id) && status === 'Connected').length === 3;
  });
  const clients = await Promise.all(Array.from({ length: 6 }, async () => await openClient(port)));
  await Promise.all(clients.map(async (client) => await echoed(client, Buffer.from('x'))));
  const closed = once(clients[0] as Socket, 'close');
  for (const client of clients) client.destroy();
  await closed;
});

test('a client that arrives without a session waits until there is one', async () => {
  await manager.set({ Errors: { StartSession: { Type: 'InternalServerError', Status: 500 } } });
  try {
    const { pod, port } = await start();
    await pod.child.until(async () => (await pod.readiness()).reason === 'ServiceFailed', 30_000);
    const started = async (): Promise<number> => (await manager.seen()).calls['StartSession'] ?? 0;
    const before = await started();
    await manager.set({ Errors: {}, PluginDelayMs: 1_500 });
    // A client is held for 5 s: this one comes while the next session is being opened.
    await eventually('the next session is started', async () => (await started()) > before);
    const client = await openClient(port);
    assert.equal(String(await echoed(client, Buffer.from('early'))), 'early');
    client.destroy();
  } finally {
    await manager.set({ Errors: {}, PluginDelayMs: 0 });
  }
});

test('OnDemand: no session before the first client, which is held and served; none after the idle time', async () => {
  const own = `${crypto.randomUUID()}`;
  const config = ssmTunnelConfig(manager, secret, {
    forwards: [{ name: 'echo', port: service.port }],
    connection: { mode: 'OnDemand', idleTimeoutSeconds: 1 },
  });
  const sidecar = await openSidecar({ ...config, name: own });
  const mine = async (): Promise<readonly string[]> =>
    (await manager.seen()).sessions
      .filter(({ reason }) => reason.startsWith(`portforward/test/${own}/`))
      .map(({ status }) => status);
  try {
    assert.equal(sidecar.status().state, 'Idle');
    assert.deepEqual(await mine(), []);
    const client = await openClient(sidecar.ports[0]?.port ?? 0);
    assert.equal(String(await echoed(client, Buffer.from('first'))), 'first');
    await until(sidecar, async () => (await mine()).filter((status) => status === 'Connected').length === 1);
    client.destroy();
    await until(sidecar, () => sidecar.status().state === 'Idle');
    await until(sidecar, async () => !(await mine()).includes('Connected'));
  } finally {
    await sidecar.stop();
  }
});

test('status and psql report a database that is down, although a dial proves nothing; and when it is back, psql works again', async () => {
  const postgres = await startPostgres();
  const forward = { port: postgres.port, appProtocol: 'postgresql' as const };
  const config = ssmTunnelConfig(manager, secret, {
    forwards: [
      { ...forward, name: 'active', health: 'Active' },
      { ...forward, name: 'passive', appProtocol: 'tcp', health: 'Passive' },
    ],
    healthCheck: { intervalSeconds: 0.5, timeoutSeconds: 1, failureThreshold: 1 },
  });
  const sidecar = await openSidecar({ ...config, forwards: config.forwards.map((one) => ({ ...one, listenPort: 0 })) });
  const told = (reachable: boolean): boolean => sidecar.status().ports.every((port) => port.reachable === reachable);
  try {
    await until(sidecar, () => told(true));
    const [{ port }] = sidecar.ports as [(typeof sidecar.ports)[0]];
    assert.equal((await psql(postgres, port, 'SELECT count(*) FROM orders')).trim(), '3');
    await postgres.kill();
    await assert.rejects(psql(postgres, port, 'SELECT 1'), (error) => {
      assert(error instanceof CommandFailed);
      assert.match(error.stderr, /portforward: .*DestinationUnreachable/);
      return true;
    });
    // A passive destination is found out by its next client, whose protocol has no words here.
    await assert.rejects(psql(postgres, sidecar.ports[1]?.port ?? 0, 'SELECT 1'));
    // A probe that a busy machine made late may give another reason first.
    await until(
      sidecar,
      () => told(false) && sidecar.status().ports.every(({ reason }) => reason === 'DestinationUnreachable'),
    );
    assert.equal(sidecar.status().state, 'Connected');
    let isPraised = false;
    const unsubscribe = sidecar.onChange(() => {
      isPraised ||= sidecar.status().ports.some(({ reachable }) => reachable === true);
    });
    const { streams } = await manager.seen();
    await until(sidecar, async () => (await manager.seen()).streams >= streams + 8);
    unsubscribe();
    assert.equal(isPraised, false, 'a dial was taken for an answer');
    await postgres.start();
    await until(sidecar, () => told(true));
    assert.equal((await psql(postgres, port, 'SELECT count(*) FROM orders')).trim(), '3');
  } finally {
    await sidecar.stop();
    await postgres.stop();
  }
});

const denied = (action: string) => ({
  Type: 'AccessDeniedException',
  Message: `User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: ${action} on resource: *`,
});

const badWorlds: Readonly<
  Record<string, { code: Code; ssm?: Ssm; switches?: Switches; keys?: Record<string, string> }>
> = {
  'no key in the Secret': { code: 'SecretNotFound', keys: {} },
  'an unknown key': {
    code: 'CredentialsRefused',
    keys: { AWS_ACCESS_KEY_ID: 'AKIDUNKNOWN', AWS_SECRET_ACCESS_KEY: 'x' },
  },
  'no permission to start': {
    code: 'AccessDenied',
    switches: { Errors: { StartSession: denied('ssm:StartSession') } },
  },
  'no permission to resume': {
    code: 'ResumeDenied',
    switches: { Errors: { ResumeSession: denied('ssm:ResumeSession') } },
  },
  'a node that is not connected': {
    code: 'TargetNotConnected',
    ssm: { target: { instanceId: 'i-0000000000000dead' } },
  },
  'no node with the tag': { code: 'TargetNotFound', ssm: { target: { tags: { Role: 'nobody' } } } },
  'no such document': {
    code: 'DocumentUnknown',
    switches: {
      Errors: { StartSession: { Type: 'InvalidDocument', Message: 'Document with name … does not exist.' } },
    },
  },
  'a limited rate': {
    code: 'Throttled',
    switches: { Errors: { StartSession: { Type: 'ThrottlingException', Message: 'Rate exceeded' } } },
  },
  'encryption by a key of KMS': { code: 'EncryptionDemanded', switches: { KMS: true } },
};

for (const [world, { code, ssm = {}, switches = {}, keys }] of Object.entries(badWorlds)) {
  test(`${world}: the pod stays alive, is not ready and says ${code}`, async () => {
    using own = keys === undefined ? undefined : new SecretDirectory(keys);
    await manager.set(switches);
    try {
      const { pod } = await start(ssm, own ?? secret);
      await pod.child.until(async () => (await pod.readiness()).reason === code, 30_000);
      const status = await pod.json('/statusz');
      assert.equal(status['reason'], code, JSON.stringify(status));
      assert.ok(String(status['message']).length > 20);
      assert.deepEqual(await pod.json('/livez'), { live: true });
    } finally {
      await manager.set({ Errors: {}, KMS: false });
    }
  });
}

test('a corrected Secret is tried at once, although the refusal was permanent', async (t) => {
  using own = new SecretDirectory({ AWS_ACCESS_KEY_ID: 'AKIDUNKNOWN', AWS_SECRET_ACCESS_KEY: 'x' });
  const { pod } = await start({}, own);
  await pod.child.until(async () => (await pod.readiness()).reason === 'CredentialsRefused', 30_000);
  const { accessKeyId, secretAccessKey } = manager.credentials;
  own.write({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
  const writtenAt = performance.now();
  await ready(pod);
  const took = performance.now() - writtenAt;
  t.diagnostic(`ready after ${Math.round(took)} ms`);
  assert.ok(took < 20_000, `${Math.round(took)} ms: as late as without its files`);
});
