import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { Destination, Session } from '../../../src/sidecar/base/driver.ts';
import { closedPort, download, echo, flood, type Service, serve } from '../../driver-suite/destinations.ts';
import { asked, dial, local, roundTrip, sha256 } from './exchange.ts';
import { SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();
const services: Pick<Service, 'stop'>[] = [];

afterEach(async () => {
  await Promise.all(services.splice(0).map((one) => one.stop()));
  await world.service.set({
    LossPercent: 0,
    DoublePercent: 0,
    ReorderPercent: 0,
    DelayMs: 0,
    Pace: true,
    Silent: false,
    PluginDelayMs: 0,
    BlackHoles: [],
    Hosts: {},
    Errors: {},
    AgentVersion: '3.3.4108.0',
    KMS: false,
  });
  const { complaints } = await world.service.seen();
  assert.equal(complaints, null, 'the driver broke the protocol');
});

async function serving(handle: Parameters<typeof serve>[0]): Promise<Service> {
  const service = await serve(handle);
  services.push(service);
  return service;
}

async function connected(destination: Destination): Promise<Session> {
  return world.connect(world.driver([destination]));
}

test('bytes go both ways through the agent’s own multiplexer, unchanged', async () => {
  await world.service.set({ Pace: false });
  const service = await serving(echo);
  const session = await connected(local(service));
  const bytes = randomBytes(8 * 1024 * 1024);
  const answer = await roundTrip(await dial(session, local(service)), bytes);
  assert.equal(sha256(answer), sha256(bytes));
});

test('a download ends cleanly after its last byte', async () => {
  await world.service.set({ Pace: false });
  const content = randomBytes(4 * 1024 * 1024);
  const service = await serving(download(content));
  const stream = await dial(await connected(local(service)), local(service));
  assert.equal(sha256(await buffer(stream)), sha256(content));
});

test('another host is reached by its name as the agent resolves it', async () => {
  const service = await serving(echo);
  await world.service.set({ Hosts: { 'db.internal': '127.0.0.1' } });
  const destination = { host: 'db.internal', port: service.port };
  const stream = await dial(await connected(destination), destination);
  assert.equal((await roundTrip(stream, Buffer.from('select 1'))).toString(), 'select 1');
});

test('a refused destination fails the stream before its first byte, and the session goes on', async () => {
  const closed = await closedPort();
  services.push(closed);
  const nothing = closed.port;
  const service = await serving(echo);
  const session = await world.connect(world.driver([local({ port: nothing }), local(service)]));
  const refused = await dial(session, local({ port: nothing }));
  const [error] = (await once(refused, 'error')) as [unknown];
  assert.ok(error instanceof TunnelError && error.code === 'DestinationUnreachable');
  assert.equal((await roundTrip(await dial(session, local(service)), Buffer.from('x'))).toString(), 'x');
});

test('0.5 % of messages lost, duplicated and reordered change no byte', async () => {
  await world.service.set({ LossPercent: 0.5, DoublePercent: 0.5, ReorderPercent: 0.5, AgentVersion: '3.3.987.0' });
  const service = await serving(echo);
  const bytes = randomBytes(1024 * 1024);
  const session = await connected(local(service));
  assert.equal(sha256(await roundTrip(await dial(session, local(service)), bytes)), sha256(bytes));
});

test('the socket cut every half second costs a loop of small queries nothing', { timeout: 180_000 }, async (t) => {
  const service = await serving(echo);
  const session = await connected(local(service));
  const stop = new AbortController();
  const cutting = (async () => {
    for (;;) {
      await delay(500, undefined, { signal: stop.signal });
      await world.service.order('cut');
    }
  })().catch(() => undefined);
  const resumed = async (): Promise<number> => (await world.service.seen()).calls['ResumeSession'] ?? 0;
  const before = await resumed();
  const began = performance.now();
  const stream = await dial(session, local(service));
  let queries = 0;
  while (queries <= 20 || (await resumed()) < before + 8) {
    assert.equal(await asked(stream, `query ${queries}`), `query ${queries}`);
    queries += 1;
    const short = await dial(session, local(service));
    assert.equal((await roundTrip(short, Buffer.from('short'))).toString(), 'short');
    short.destroy();
  }
  stop.abort();
  await cutting;
  t.diagnostic(`${queries} queries and 8 resumes in ${((performance.now() - began) / 1_000).toFixed(1)} s`);
});

test('an agent that reconnects for 4 s keeps its streams', async () => {
  const service = await serving(echo);
  const session = await connected(local(service));
  const stream = await dial(session, local(service));
  await roundTrip(stream, Buffer.from('before'));
  await world.service.order('reconnect', 4_000);
  assert.equal(await asked(stream, 'after'), 'after');
  assert.equal(session.signal.aborted, false);
});

test('an agent that is slow to set up its forwarding is waited for', async () => {
  await world.service.set({ PluginDelayMs: 1_500 });
  const service = await serving(echo);
  const before = performance.now();
  const session = await connected(local(service));
  assert.ok(performance.now() - before >= 1_500);
  assert.equal((await roundTrip(await dial(session, local(service)), Buffer.from('x'))).toString(), 'x');
});

test('500 connections opened and closed through one session reach the destination and leave nothing', async () => {
  const service = await serving(echo);
  const session = await connected(local(service));
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const stream = await dial(session, local(service));
        assert.equal((await roundTrip(stream, Buffer.from(`${index}`))).toString(), `${index}`);
        stream.destroy();
      }),
    );
  }
  await eventually('the destination has no connection', () => service.connections.size === 0);
  assert.equal(session.streams, 0);
  await eventually('the agent has no stream', async () => (await world.service.seen()).open === 0);
});

test('a client that reads nothing is waited for while it is alone on its session', async () => {
  await world.service.set({ Pace: false });
  const service = await serving(flood);
  const session = await connected(local(service));
  const stream = await dial(session, local(service));
  stream.once('data', () => stream.pause());
  await eventually('the session takes no more streams', () => !session.hasRoom);
  await delay(1_000);
  assert.equal(stream.destroyed, false);
  stream.destroy();
  await eventually('it takes streams again', () => session.hasRoom);
});

test('a destination that drops packets does not make the node suspect: no new stream is tried there until another channel is open', async () => {
  const service = await serving(echo);
  await world.service.set({ Hosts: { 'db.internal': '127.0.0.1' }, BlackHoles: [`db.internal:${service.port}`] });
  const destination = { host: 'db.internal', port: service.port };
  const session = await connected(destination);
  const { sessionId } = session.facts;
  const changes: boolean[] = [];
  session.onSuspectChange(() => changes.push(session.suspect));
  const probe = await dial(session, destination);
  // Whether the agent hangs is judged 5 s after the opening: at that moment no probe, sent 4 s after its last answer, may be unanswered.
  await delay(2_000);
  probe.destroy();
  await eventually('another channel is open', () => session.facts.sessionId !== sessionId, 15_000);
  assert.deepEqual(changes, [], 'the node lives, and so do its other destinations');
  await world.service.set({ BlackHoles: [] });
  assert.equal((await roundTrip(await dial(session, destination), Buffer.from('x'))).toString(), 'x');
});

test('every refusal of the service and the agent has its reason', async () => {
  const reasonOf = async (destination: Destination = { host: 'localhost', port: 5432 }): Promise<string> => {
    const outcome = await connected(destination).then(
      () => 'connected',
      (error: unknown) => (error instanceof TunnelError ? error.code : String(error)),
    );
    await world.service.set({ Errors: {}, KMS: false, AgentVersion: '3.3.4108.0' });
    return outcome;
  };
  for (const [type, code] of [
    ['TargetNotConnected', 'TargetNotConnected'],
    ['AccessDeniedException', 'AccessDenied'],
    ['InvalidDocument', 'DocumentUnknown'],
    ['ThrottlingException', 'Throttled'],
    ['ExpiredTokenException', 'CredentialsExpired'],
    ['InternalServerError', 'ServiceFailed'],
  ] as const) {
    await world.service.set({ Errors: { StartSession: { Type: type } } });
    assert.equal(await reasonOf(), code);
  }
  await world.service.set({ Errors: { ResumeSession: { Type: 'AccessDeniedException' } } });
  assert.equal(await reasonOf(), 'ResumeDenied');
  await world.service.set({ KMS: true });
  assert.equal(await reasonOf(), 'EncryptionDemanded');
  await world.service.set({ AgentVersion: '3.1.1260.0' });
  assert.equal(await reasonOf({ host: 'db.internal', port: 5432 }), 'AgentTooOld');
  // An address that the agent denies says nothing against the node: its session is open, and its clients are told.
  const denied = { host: '169.254.169.254', port: 80 };
  await assert.rejects(
    dial(await connected(denied), denied),
    /refuses to forward to the address of 169\.254\.169\.254:80/,
  );
});

test('an agent without multiplexing carries one connection', async () => {
  await world.service.set({ AgentVersion: '3.0.100.0' });
  const service = await serving(echo);
  const session = await connected(local(service));
  assert.equal((await roundTrip(await dial(session, local(service)), Buffer.from('alone'))).toString(), 'alone');
  assert.equal(session.hasRoom, false);
  assert.equal(session.suspect, false);
});

test('closing leaves no session at the service', async () => {
  const service = await serving(echo);
  const session = await connected(local(service));
  assert.equal((await world.service.seen()).sessions.length, 1);
  await session.close();
  await eventually('no session is left', async () => (await world.service.seen()).sessions.length === 0);
});
