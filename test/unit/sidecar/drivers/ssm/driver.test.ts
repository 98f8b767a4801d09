import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import type { SsmConfig } from '../../../../../src/contract/tunnel-config.ts';
import { ByteBudget } from '../../../../../src/sidecar/byte-budget.ts';
import type { Destination, Driver, Session } from '../../../../../src/sidecar/driver.ts';
import { createSsmDriver, type SsmDriverOptions } from '../../../../../src/sidecar/drivers/ssm/driver.ts';
import type { SsmRoute } from '../../../../../src/sidecar/drivers/ssm/targets.ts';
import { eventually } from '../../../../support/eventually.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FakeService } from './fake-service.ts';
import { silentLog } from './silent-log.ts';

const database: Destination = { host: 'db.internal', port: 5432 };
const cache: Destination = { host: 'localhost', port: 6379 };
const route: SsmRoute = { via: 'i-0abc', target: 'i-0abc' };
const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

interface Setting {
  readonly fake: FakeService;
  readonly driver: Driver<SsmRoute>;
  readonly destinations: readonly Destination[];
}

async function setting(options: Partial<SsmDriverOptions> & { config?: Partial<SsmConfig> } = {}): Promise<Setting> {
  const fake = await new FakeService().start();
  endings.push(() => fake.stop());
  const { config, ...more } = options;
  const driver = createSsmDriver(
    {
      region: 'eu-west-1',
      target: { instanceId: 'i-0abc' },
      sessions: 1,
      maxSessionMinutes: 0,
      endpoints: { ssm: '', ssmmessages: '', sts: '', ecs: '' },
      allowedEndpoints: [fake.origin.replace('ws:', 'http:')],
      ...config,
    },
    {
      destinations: [database],
      persistent: true,
      reason: 'portforward/shop/orders-db/uid',
      podUid: 'uid',
      log: silentLog,
      budget: new ByteBudget(),
      api: fake,
      random: () => 0,
      ...more,
    },
  );
  endings.push(() => driver.close());
  return { fake, driver, destinations: more.destinations ?? [database] };
}

async function connect({ fake, driver, destinations }: Setting): Promise<Session> {
  const session = await driver.connect(route, { signal: new AbortController().signal, log: silentLog });
  endings.push(async () => {
    fake.silent = false;
    await session.close();
  });
  // The service has seen the socket that we have, too.
  for (const destination of destinations) await works(session, destination);
  return session;
}

async function dial(session: Session, destination: Destination): Promise<Duplex> {
  return session.dial(destination, { signal: new AbortController().signal });
}

async function works(session: Session, destination: Destination): Promise<void> {
  const stream = await dial(session, destination);
  stream.write('ping');
  assert.equal(String((await once(stream, 'data'))[0]), 'ping');
  stream.destroy();
}

test('a session is opened for each destination, the node’s own ports by the document for them', async () => {
  const the = await setting({ destinations: [database, cache, database] });
  const session = await connect(the);
  assert.deepEqual(
    the.fake.starts.map(({ target, host, port, reason }) => [target, host, port, reason]),
    [
      ['i-0abc', 'db.internal', 5432, 'portforward/shop/orders-db/uid'],
      ['i-0abc', undefined, 6379, 'portforward/shop/orders-db/uid'],
    ],
  );
  await works(session, database);
  await works(session, cache);
  assert.deepEqual(session.facts, { sessionId: 'operator-0' });
  assert.equal(session.streams, 0);
  await session.close();
  assert.equal(the.fake.sockets, 0);
  assert.deepEqual(
    the.fake.agents.map(({ flags }) => flags),
    [[2], [2]],
  );
});

test('the first session proves that it may be resumed; without the permission nothing is opened, and it is told', async () => {
  const the = await setting();
  the.fake.resumeError = new TunnelError('ResumeDenied', 'no');
  await assert.rejects(connect(the), (error) => error instanceof TunnelError && error.code === 'ResumeDenied');
  while (the.fake.sockets > 0) await delay(5);
  the.fake.resumeError = undefined;
  await works(await connect(the), database);
  const resumed = the.fake.count('resume');
  await works(await connect(the), database);
  assert.equal(the.fake.count('resume'), resumed);
});

test('an attempt that is aborted while it waits for the service leaves nothing behind', async () => {
  const the = await setting();
  the.fake.resumeError = new TunnelError('Throttled', 'slow down');
  const stop = new AbortController();
  const attempt = the.driver.connect(route, { signal: stop.signal, log: silentLog });
  while (the.fake.count('resume') === 0) await delay(5);
  stop.abort(new Error('not wanted'));
  await assert.rejects(attempt, /not wanted/);
  assert.equal(the.fake.count('terminate'), 1);
  while (the.fake.sockets > 0) await delay(5);
});

test('a destination that cannot be opened leaves its siblings alone, is told to its own clients and tried again', async () => {
  const clock = new FakeClock();
  const the = await setting({ destinations: [cache, database], clock });
  the.fake.agentVersion = '3.1.1200.0';
  const session = await the.driver.connect(route, { signal: new AbortController().signal, log: silentLog });
  endings.push(() => session.close());
  await works(session, cache);
  await assert.rejects(
    dial(session, database),
    (error) => error instanceof TunnelError && error.code === 'DestinationUnreachable' && /agent/.test(error.message),
  );
  assert.equal(the.fake.count('start'), 2);
  the.fake.agentVersion = '3.3.4108.0';
  await clock.advance(1_000);
  await eventually('the session to the database', () =>
    dial(session, database).then(
      () => true,
      () => false,
    ),
  );
});

test('destinations that can none be opened leave no session behind', async () => {
  const the = await setting({ destinations: [database, { host: 'other.internal', port: 5432 }] });
  the.fake.agentVersion = '3.1.1200.0';
  await assert.rejects(connect(the), (error) => error instanceof TunnelError && error.code === 'AgentTooOld');
  while (the.fake.sockets > 0) await delay(5);
  assert.equal(the.fake.count('start'), 2);
});

test('the loss of the only session ends the whole, with its reason, before its streams end', async () => {
  const the = await setting();
  const session = await connect(the);
  const stream = await dial(session, database);
  let first: boolean | undefined;
  stream.on('error', () => {
    first = session.signal.aborted;
  });
  the.fake.agent.closeChannel('');
  await once(stream, 'error');
  assert.equal(first, true);
  assert.equal((session.signal.reason as TunnelError).code, 'BastionLost');
  await assert.rejects(dial(session, database), /Session Manager ended the session/);
});

test('one lost session of two is replaced while the other carries on, and clients wait for it', async () => {
  const the = await setting({ destinations: [database, cache] });
  const session = await connect(the);
  const open = await dial(session, cache);
  open.on('error', () => assert.fail('the other destination lost its stream'));
  the.fake.agents[0]?.closeChannel('');
  while (the.fake.count('start') < 3) await delay(5);
  await works(session, database);
  assert.equal(session.signal.aborted, false);
  assert.equal(session.suspect, false);
  open.write('still');
  assert.equal(String((await once(open, 'data'))[0]), 'still');
  open.destroy();
});

test('a silent agent makes the session suspect, and its subscribers know', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const session = await connect(the);
  const changes: boolean[] = [];
  const unsubscribe = session.onSuspectChange(() => changes.push(session.suspect));
  the.fake.silent = true;
  await clock.advance(9_000);
  assert.deepEqual(changes, [true]);
  assert.equal(session.hasRoom, false);
  the.fake.silent = false;
  for (let step = 0; session.suspect && step < 100; step += 1) {
    await clock.advance(100);
    await delay(2);
  }
  assert.deepEqual(changes, [true, false]);
  unsubscribe();
});

test('two refusals have the name resolved anew by a fresh session, which takes the next connections', async () => {
  const the = await setting();
  const session = await connect(the);
  const kept = await dial(session, database);
  kept.write('x');
  await once(kept, 'data');
  the.fake.refuses = true;
  for (let round = 0; round < 2; round += 1) {
    const stream = await dial(session, database);
    const [error] = (await once(stream, 'error')) as [TunnelError];
    assert.equal(error.code, 'DestinationUnreachable');
  }
  while (the.fake.count('start') < 2) await delay(5);
  the.fake.refuses = false;
  while (session.facts.sessionId !== 'operator-1') await delay(5);
  await works(session, database);
  kept.write('y');
  assert.equal(String((await once(kept, 'data'))[0]), 'y');
  assert.equal(the.fake.agents[0]?.flags.length, 0);
  kept.destroy();
  while (the.fake.agents[0]?.flags.length === 0) await delay(5);
});

test('a session to another host is replaced within 15 minutes, before its streams notice, and one with a limit before that', async () => {
  for (const { maxSessionMinutes, due } of [
    { sessions: 1, maxSessionMinutes: 0, due: 12 * 60_000 },
    { maxSessionMinutes: 5, due: 4 * 60_000 },
  ]) {
    const clock = new FakeClock();
    const the = await setting({ clock, config: { maxSessionMinutes } });
    const session = await connect(the);
    const kept = await dial(session, database);
    kept.write('x');
    await once(kept, 'data');
    // In steps in which the agent's answers, which take real time, keep up.
    for (let passed = 0; passed < due - 6_000; passed += 2_000) {
      await clock.advance(2_000);
      await delay(1);
    }
    assert.equal(session.suspect, false);
    assert.equal(the.fake.count('start'), 1);
    for (let step = 0; the.fake.count('start') < 2 && step < 100; step += 1) await clock.advance(100);
    assert.equal(the.fake.count('start'), 2);
    while (session.facts.sessionId !== 'operator-1') {
      await clock.advance(10);
      await delay(1);
    }
    kept.write('y');
    assert.equal(String((await once(kept, 'data'))[0]), 'y');
    kept.destroy();
  }
});

test('nodes are found by tags, connected ones only, in an order of the pod’s own', async () => {
  const orders = new Set<string>();
  for (const podUid of ['a', 'b', 'c', 'd', 'e']) {
    const the = await setting({ podUid, config: { target: { tags: { Role: 'bastion' } } } });
    the.fake.nodes.set('i-1', true).set('i-2', false).set('i-3', true);
    const routes = await the.driver.routes({ signal: new AbortController().signal });
    assert.deepEqual(routes.map(({ via }) => via).toSorted(), ['i-1', 'i-3']);
    orders.add(routes.map(({ via }) => via).join());
  }
  assert.equal(orders.size, 2);
  const none = await setting({ config: { target: { tags: { Role: 'bastion' } } } });
  await assert.rejects(
    none.driver.routes({ signal: new AbortController().signal }),
    /no managed node in eu-west-1 carries the tags Role=bastion/,
  );
});

test('changed keys in the Secret are told within about a second', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ssm-keys-'));
  endings.push(() => rm(directory, { recursive: true }));
  const the = await setting({ config: { credentials: { secretName: 'aws', directory } } });
  let told = 0;
  const stop = the.driver.onCredentialsChange(() => {
    told += 1;
  });
  await delay(1_100);
  assert.equal(told, 0);
  await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), 'AKIDEXAMPLE');
  while (told === 0) await delay(20);
  stop();
});

/** Lets time pass in steps in which the agent's answers, which take real time, keep up. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 2_000) {
    await clock.advance(2_000);
    await delay(1);
  }
}

test('a limit of the account that ended a living session is known to the next one, which is replaced before it', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  const first = await connect(the);
  await pass(clock, 5.5 * 60_000);
  the.fake.agent.closeChannel('');
  if (!first.signal.aborted) await once(first.signal, 'abort');
  const second = await connect(the);
  await pass(clock, 3.9 * 60_000);
  assert.equal(the.fake.count('start'), 2);
  await pass(clock, 0.2 * 60_000);
  await eventually('a replacement', () => the.fake.count('start') === 3);
  while (second.facts.sessionId !== 'operator-2') {
    await clock.advance(10);
    await delay(1);
  }
  assert.equal(second.signal.aborted, false);
});

test('a session that was lost with its agent teaches no limit', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  const first = await connect(the);
  await pass(clock, 2.5 * 60_000);
  the.fake.silent = true;
  await pass(clock, 12_000);
  the.fake.silent = false;
  the.fake.agent.closeChannel('');
  if (!first.signal.aborted) await once(first.signal, 'abort');
  await connect(the);
  await pass(clock, 2.5 * 60_000);
  assert.equal(the.fake.count('start'), 2);
});

test('sessions that an earlier container of the pod left are ended after the first one is open; nobody else’s are', async () => {
  const the = await setting();
  const ours = 'portforward/shop/orders-db/uid';
  the.fake.left.push(
    { sessionId: 'left-1', reason: ours, target: 'i-0abc' },
    { sessionId: 'sibling', reason: 'portforward/shop/orders-db/other', target: 'i-0abc' },
    { sessionId: 'longer', reason: `${ours}-2`, target: 'i-0abc' },
    { sessionId: 'person', reason: '', target: 'i-0abc' },
    { sessionId: 'operator-0', reason: ours, target: 'i-0abc' },
    { sessionId: 'left-2', reason: ours, target: 'i-0abc' },
  );
  const session = await connect(the);
  await eventually('the leftovers are ended', () => the.fake.terminated.length >= 2);
  await works(session, database);
  assert.deepEqual(the.fake.terminated, ['left-1', 'left-2']);
  assert.ok(the.fake.calls.indexOf('list') > the.fake.calls.indexOf('start'));
  await connect(the);
  assert.equal(the.fake.count('list'), 1);
});

test('without the permission to list sessions everything works, and it is told once', async () => {
  const lines: unknown[] = [];
  const log = { ...silentLog, info: (...line: unknown[]) => lines.push(line) } as typeof silentLog;
  const the = await setting({ log });
  the.fake.listError = new TunnelError('AccessDenied', 'lacks ssm:DescribeSessions');
  const session = await connect(the);
  await eventually('it is told', () => lines.length > 0);
  await works(session, database);
  assert.equal(lines.length, 1);
  assert.match(JSON.stringify(lines), /not looked for/);
});

test('a session that is silent puts its node last, for its replacement', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, config: { target: { tags: { Role: 'bastion' } } } });
  the.fake.nodes.set('i-0abc', true).set('i-1', true).set('i-2', true);
  const order = async (): Promise<string[]> =>
    (await the.driver.routes({ signal: new AbortController().signal })).map(({ via }) => via);
  const usual = await order();
  await connect(the);
  the.fake.silent = true;
  await clock.advance(9_000);
  assert.deepEqual(await order(), [...usual.filter((via) => via !== 'i-0abc'), 'i-0abc']);
});

async function upload(session: Session, destination: Destination): Promise<Duplex> {
  const stream = await dial(session, destination);
  stream.on('error', () => undefined).resume();
  stream.write(Buffer.alloc(100_000));
  return stream;
}

test('messages of 16 KiB are given up for a node whose session died within a minute of them, be it by a close or by silence', async () => {
  for (const how of ['close', 'silence'] as const) {
    const clock = new FakeClock();
    const the = await setting({ clock });
    the.fake.agentVersion = '3.3.3572.0';
    const first = await connect(the);
    if (how === 'silence') the.fake.largestCarried = 10_000;
    await upload(first, database);
    if (how === 'close') {
      await eventually('a large message', () => the.fake.agent.largestInput === 16_384);
      the.fake.agent.closeChannel('');
    }
    for (let passed = 0; passed < 90_000 && !first.signal.aborted; passed += 1_000) {
      await clock.advance(1_000);
      await delay(1);
    }
    assert.equal((first.signal.reason as TunnelError).code, 'BastionLost');
    const second = await connect(the);
    const stream = await upload(second, database);
    await pass(clock, 4_000);
    await eventually('small messages arrive', () => the.fake.agent.inputSequences.length > 50);
    assert.equal(the.fake.agent.largestInput, 1_024);
    stream.destroy();
  }
});

test('a node that took large messages for a minute keeps them', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  the.fake.agentVersion = '3.3.3572.0';
  const first = await connect(the);
  await upload(first, cache);
  await pass(clock, 62_000);
  the.fake.agent.closeChannel('');
  if (!first.signal.aborted) await once(first.signal, 'abort');
  await upload(await connect(the), cache);
  await eventually('a large message', () => the.fake.agent.largestInput === 16_384);
});
