// Faults of Session Manager and its agents during a session, one switch of the service after the other, and how the driver copes.
// Neighbours: loss.test.ts and slow-reader.test.ts; outages of a minute and more are in test/faults.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { Session } from '../../../src/sidecar/base/driver.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { watchLoop } from '../../support/watch-loop.ts';
import { asked, dial, local, roundTrip } from './exchange.ts';
import { SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();
const { service } = world;
const echoing = await serve(echo);

afterEach(async () => {
  await service.set({
    Errors: {},
    SpoilTokens: 0,
    NoResumeToken: false,
    ByeAfterMs: 0,
    IdleTimeoutMs: 0,
    StartGapMs: 0,
    DialDelayMs: 0,
    LargestPayload: 0,
    KeepAliveTimeoutMs: 30_000,
    AgentVersion: '3.3.4108.0',
  });
  assert.equal((await service.seen()).complaints, null, 'the driver broke the protocol');
});
test.after(() => echoing.stop());

const calls = async (name: string): Promise<number> => (await service.seen()).calls[name] ?? 0;
const connected = (options: { readonly persistent?: boolean } = {}): Promise<Session> =>
  world.connect(world.driver([local(echoing)], options));

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (error: unknown) => (error instanceof TunnelError ? error.code : String(error)),
  );
}

/** Asks over a stream that stays and over new ones until `enough`; every question has its answer. @throws at the first without one. */
async function questions(session: Session, enough: (asked: number) => Promise<boolean>): Promise<number> {
  const stays = await dial(session, local(echoing));
  let count = 0;
  for (; !(await enough(count)); count += 1) {
    assert.equal(await asked(stays, `question ${count}`), `question ${count}`);
    const short = await dial(session, local(echoing));
    assert.equal(await asked(short, 'short'), 'short');
    short.destroy();
  }
  stays.destroy();
  return count;
}

test('the service’s own close of every socket costs no question its answer', { timeout: 180_000 }, async (t) => {
  const session = await connected();
  await service.set({ ByeAfterMs: 500 });
  const before = await calls('ResumeSession');
  await service.order('bye');
  const count = await questions(session, async (asked) => asked > 20 && (await calls('ResumeSession')) - before >= 4);
  t.diagnostic(`${count} questions through 4 resumes`);
});

test('a resume whose tickets are refused is tried with new ones', async () => {
  const session = await connected();
  await service.set({ SpoilTokens: 3 });
  await service.order('cut');
  assert.equal(await asked(await dial(session, local(echoing)), 'still here'), 'still here');
  assert.equal(session.signal.aborted, false);
});

test('a resume that is throttled, denied at the socket or answered with a failure is tried again', async () => {
  const session = await connected();
  for (const Errors of [
    { ResumeSession: { Type: 'ThrottlingException', Times: 2 } },
    { ResumeSession: { Type: 'InternalServerError', Status: 500, Times: 2 } },
    { ResumeSession: { Type: 'ExpiredTokenException', Times: 1 } },
    { OpenDataChannel: { Type: 'Forbidden', Status: 403, Times: 1 } },
  ]) {
    await service.set({ Errors });
    await service.order('cut');
    assert.equal(await asked(await dial(session, local(echoing)), 'still here'), 'still here', JSON.stringify(Errors));
  }
  assert.equal(session.signal.aborted, false);
});

test('a session that cannot be resumed any more is reported as lost at once', async () => {
  const session = await connected();
  await service.set({ NoResumeToken: true });
  const stream = await dial(session, local(echoing));
  await asked(stream, 'x');
  const broken = once(stream, 'error');
  const before = performance.now();
  await service.order('bye');
  const [error] = (await broken) as [unknown];
  assert.ok(error instanceof TunnelError && error.code === 'BastionLost', String(error));
  assert.ok(session.signal.aborted);
  assert.ok(performance.now() - before < 10_000);
});

test('a refused upgrade names the missing permission, a throttled one the throttle, and the next attempt works', async () => {
  for (const [Status, code] of [
    [403, 'AccessDenied'],
    [429, 'Throttled'],
    [503, 'ServiceFailed'],
  ] as const) {
    await service.set({ Errors: { OpenDataChannel: { Type: 'Refused', Status, Times: 1 } } });
    assert.equal(await codeOf(connected()), code);
    const session = await connected();
    assert.equal(await asked(await dial(session, local(echoing)), 'x'), 'x');
  }
});

test('channels to many destinations are started one after the other, with a pause that keeps AWS from throttling them', async () => {
  await service.set({ StartGapMs: 40 });
  const others = await Promise.all(Array.from({ length: 5 }, () => serve(echo)));
  try {
    const session = await world.connect(world.driver(others.map(local)));
    for (const one of others) assert.equal(await asked(await dial(session, local(one)), 'x'), 'x');
  } finally {
    await Promise.all(others.map((one) => one.stop()));
  }
});

test('an upload as fast as it goes, in small messages, never meets the service’s limit', async (t) => {
  await service.set({ LargestPayload: 4_096, Pace: false });
  const before = await calls('Limited');
  const session = await connected();
  const began = performance.now();
  const bytes = Buffer.alloc(5 * 1024 * 1024, 'x');
  await roundTrip(await dial(session, local(echoing)), bytes);
  const seconds = (performance.now() - began) / 1_000;
  t.diagnostic(`${(5 / seconds).toFixed(2)} MiB/s`);
  assert.ok(seconds > 3, 'too fast to have met the limit');
  assert.equal((await calls('Limited')) - before, 0);
});

test('an agent that reports its connection as lost and back loses nothing', async () => {
  const session = await connected();
  const stream = await dial(session, local(echoing));
  await service.order('pause');
  assert.equal(await asked(stream, 'paused'), 'paused');
  await service.order('start');
  assert.equal(await asked(stream, 'started'), 'started');
  assert.equal(session.signal.aborted, false);
});

test('connections that the agent makes slowly, one by one, all work and do not make the session suspect', async () => {
  const session = await connected();
  await service.set({ DialDelayMs: 400 });
  const answers = await Promise.all(
    Array.from({ length: 5 }, async (_, index) => asked(await dial(session, local(echoing)), `client ${index}`)),
  );
  assert.deepEqual(
    answers,
    [0, 1, 2, 3, 4].map((index) => `client ${index}`),
  );
  assert.equal(session.suspect, false);
});

test('a session that nobody uses outlives the account’s idle timeout', async () => {
  await service.set({ IdleTimeoutMs: 12_000 });
  const session = await connected();
  await delay(15_000);
  assert.equal(session.signal.aborted, false);
  assert.equal(await asked(await dial(session, local(echoing)), 'x'), 'x');
});

test('an old agent that ends silent sessions gets keep-alives, even if nobody asks whether it lives', async () => {
  await service.set({ AgentVersion: '3.1.1260.0', KeepAliveTimeoutMs: 16_000 });
  const session = await connected({ persistent: false });
  await delay(34_000);
  assert.equal(session.signal.aborted, false);
  assert.equal(await asked(await dial(session, local(echoing)), 'x'), 'x');
});

test('a service that ends the sessions of a node is heard at once, and the tunnel connects again once the node is back', async () => {
  const session = await connected();
  const stream = await dial(session, local(echoing));
  await asked(stream, 'x');
  const before = performance.now();
  const lost = once(session.signal, 'abort');
  // It stays away for longer than this test takes, unless the test brings it back.
  await service.order('evict', 120_000);
  await lost;
  assert.ok(performance.now() - before < 10_000, 'the word was not heard: its silence was');
  assert.equal(await codeOf(connected()), 'TargetNotConnected');
  await service.order('evict', 1);
  await eventually('the node is back', async () => (await codeOf(connected())) === 'none');
  assert.equal(await asked(await dial(await connected(), local(echoing)), 'back'), 'back');
});

test('a node that vanishes makes its session suspect, although the service still resumes it', async (t) => {
  const session = await connected();
  using loop = watchLoop();
  await service.order('vanish', 1);
  const after = await eventually('the session is suspect', () => session.suspect, 60_000);
  t.diagnostic(`after ${after.toFixed(0)} ms`);
  assert.ok(after < 20_000 || loop.overslept, `after ${after} ms`);
  assert.equal(await asked(await dial(await connected(), local(echoing)), 'another'), 'another');
});

test('an agent that restarts ends nothing: its session workers go on', async () => {
  const session = await connected();
  const stream = await dial(session, local(echoing));
  await asked(stream, 'before');
  await service.order('restart', 2_000);
  assert.equal(await asked(stream, 'during'), 'during');
  await eventually('the node is back', async () => (await codeOf(connected())) === 'none');
  assert.equal(await asked(stream, 'after'), 'after');
  assert.equal(session.signal.aborted, false);
});

for (const [what, order] of [
  ['an agent that gave its own connection up is a zombie', 'giveup'],
  ['a session worker that is killed', 'kill'],
] as const) {
  test(`${what}: suspect after 8 s, and ended once its node has answered in another session`, async (t) => {
    const driver = world.driver([local(echoing)]);
    const session = await world.connect(driver);
    const stream = await dial(session, local(echoing));
    await asked(stream, 'x');
    stream.on('error', () => undefined);
    using loop = watchLoop();
    const before = performance.now();
    const lost = once(session.signal, 'abort');
    await service.order(order);
    await eventually('the session is suspect', () => session.suspect, 60_000);
    // As the tunnel does for a session that is suspect.
    const other = await world.connect(driver);
    assert.equal(await asked(await dial(other, local(echoing)), 'another'), 'another');
    await lost;
    const tookMs = performance.now() - before;
    t.diagnostic(`ended after ${tookMs.toFixed(0)} ms`);
    assert.ok(tookMs > 8_000 && (tookMs < 45_000 || loop.overslept), `${tookMs} ms`);
  });
}

test('a relay that carries no message of 16 KiB is found out without a client, and clients are sent small ones', async () => {
  await service.set({ LargestPayload: 4_096 });
  const before = await calls('TooLarge');
  const session = await connected();
  assert.equal((await calls('TooLarge')) - before, 1, 'one session was spent on it');
  assert.equal(session.facts.messageBytes, 1_024);
  const bytes = randomBytes(200_000);
  const stream = await dial(session, local(echoing));
  assert.ok((await roundTrip(stream, bytes)).equals(bytes));
  assert.equal((await calls('TooLarge')) - before, 1);
  assert.equal(session.signal.aborted, false);
});

for (const version of ['3.0.196.0', '3.1.1374.0', '3.2.985.0']) {
  test(`agent ${version} gets messages of 16 KiB, too`, async () => {
    await service.set({ AgentVersion: version });
    const session = await connected();
    assert.equal(session.facts.messageBytes, 16_384);
    const { inputs } = await service.seen();
    const bytes = randomBytes(400_000);
    const stream = await dial(session, local(echoing));
    assert.ok((await roundTrip(stream, bytes, undefined, 100_000)).equals(bytes));
    assert.ok((await service.seen()).inputs - inputs < 200, 'with 1 KiB it would be 400 messages');
  });
}

test('no socket of an old agent’s session costs its connections, though it never repeats an acknowledgement', async () => {
  await service.set({ AgentVersion: '3.1.1374.0' });
  const session = await connected();
  const stream = await dial(session, local(echoing));
  let got = 0;
  stream.on('data', (piece: Buffer) => {
    got += piece.length;
  });
  for (let round = 1; round <= 8; round += 1) {
    stream.write(Buffer.alloc(20_000));
    await service.order('cut');
    await eventually('everything comes back', () => got === round * 20_000, 60_000);
  }
  await delay(15_000);
  assert.equal(session.suspect, false);
  assert.equal(session.signal.aborted, false);
  stream.destroy();
});
