import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import type { TunnelError } from '../../../../../src/contract/errors.ts';
import type { Destination, Session } from '../../../../../src/sidecar/base/driver.ts';
import type { PortStream } from '../../../../../src/sidecar/drivers/ssm/base/port-stream.ts';
import { assertEvery } from '../../../../support/assert-every.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { cache, connect, database, dial, pass, setting, works } from './driver-world.ts';

async function upload(session: Session, destination: Destination): Promise<Duplex> {
  const stream = await dial(session, destination);
  stream.on('error', () => undefined).resume();
  stream.write(Buffer.alloc(100_000));
  return stream;
}

/** A session after one that the service ended at the age of 5.5 minutes. */
async function afterUnforeseenEnd(the: Awaited<ReturnType<typeof setting>>, clock: FakeClock): Promise<Session> {
  const first = await connect(the);
  await pass(clock, 5.5 * 60_000);
  the.fake.agent.closeChannel('');
  if (!first.signal.aborted) await once(first.signal, 'abort');
  return connect(the);
}

test('a limit of the account that ended a working channel is known to the next one, which is replaced in time', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  const second = await afterUnforeseenEnd(the, clock);
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

test('a limit that was learned from a person’s action is forgotten, although every channel is replaced before it', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  const second = await afterUnforeseenEnd(the, clock);
  await pass(clock, 4.1 * 60_000);
  await eventually('a replacement', () => the.fake.count('start') === 3);
  await pass(clock, 8 * 60_000);
  const starts = the.fake.count('start');
  await pass(clock, 15 * 60_000);
  assert.equal(the.fake.count('start'), starts, 'sessions are renewed for a limit that is none');
  assert.equal(second.signal.aborted, false);
});

test('a channel that was lost with its agent teaches no limit', async () => {
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

test('a silent session puts its node last, so that its replacement goes elsewhere', async () => {
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

test('messages of 16 KiB are given up for a node whose channel died within a minute of them, by a close or by silence', async () => {
  for (const how of ['close', 'silence'] as const) {
    const clock = new FakeClock();
    const the = await setting({ clock });
    const first = await connect(the);
    const before = the.fake.agent.inputSequences.length;
    if (how === 'silence') the.fake.largestCarried = 10_000;
    await upload(first, database);
    if (how === 'close') {
      await eventually('large messages of a client', () => the.fake.agent.inputSequences.length > before + 3);
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

test('a node that accepted large messages for a minute keeps getting them', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache] });
  const first = await connect(the);
  await upload(first, cache);
  // What counts is when the agent was last heard, and an idle one is asked every 4 s.
  await pass(clock, 70_000);
  the.fake.agent.closeChannel('');
  if (!first.signal.aborted) await once(first.signal, 'abort');
  await upload(await connect(the), cache);
  await eventually('a large message', () => the.fake.agent.largestInput === 16_384);
});

test('while a destination refuses, its name is resolved again every 10 to 25 s: a failover is noticed within 30 s', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const session = await connect(the);
  the.fake.refuses = true;
  const startedAt: number[] = [];
  for (let passed = 0; passed < 160_000; passed += 2_000) {
    const stream = await dial(session, database);
    stream.on('error', () => undefined);
    await eventually('the refusal', () => stream.closed);
    await pass(clock, 2_000);
    // Opening a replacement takes real time: wait for it without letting much virtual time pass.
    while (session.facts.sessionId !== the.fake.agents.at(-1)?.sessionId) {
      await clock.advance(1);
      await delay(1);
    }
    while (startedAt.length + 1 < the.fake.count('start')) startedAt.push(clock.now());
  }
  // They are looked at every 2 s, so their times are not exact.
  const gaps = startedAt.slice(1).map((at, index) => at - (startedAt[index] ?? 0));
  const right = gaps.length >= 5 && gaps.every((gap) => gap <= 30_000) && gaps.slice(1).every((gap) => gap >= 10_000);
  assert.ok(right, `gaps of ${gaps.join(', ')} ms`);
});

/** A connection that stays open. */
async function lasting(session: Session, destination: Destination): Promise<Duplex> {
  const stream = await dial(session, destination);
  stream.on('error', () => undefined).resume();
  stream.write('ping');
  await once(stream, 'data');
  return stream;
}

test('of the connections on retired channels only those of the fifth are ended, after the drain timeout', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [cache], config: { maxSessionMinutes: 4 }, drainTimeoutMs: 40_000 });
  const session = await connect(the);
  const streams: Duplex[] = [];
  for (let period = 0; period < 6; period += 1) {
    streams.push(await lasting(session, cache));
    const starts = the.fake.count('start');
    while (the.fake.count('start') === starts) await pass(clock, 2_000);
    await eventually('the fresh session is used', () => session.facts.sessionId === `operator-${starts}`);
  }
  assert.deepEqual(
    streams.map(({ destroyed }) => destroyed),
    [true, false, false, false, false, false],
    'the second has its drain timeout yet',
  );
  await pass(clock, 44_000);
  assert.deepEqual(
    streams.map(({ destroyed }) => destroyed),
    [true, true, false, false, false, false],
  );
  assert.equal(session.signal.aborted, false);
  await works(session, cache);
});

test('no channel is replaced merely to resolve its name while four retired ones carry connections', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const session = await connect(the);
  const streams: Duplex[] = [];
  for (let period = 0; period < 4; period += 1) {
    streams.push(await lasting(session, database));
    await pass(clock, 15.1 * 60_000);
    await eventually('the fresh session is used', () => session.facts.sessionId === `operator-${period + 1}`);
  }
  await pass(clock, 40 * 60_000);
  assert.equal(the.fake.count('start'), 5);
  assertEvery(streams, ({ destroyed }) => !destroyed, 'the stream is open');
  streams[2]?.destroy();
  await eventually('a fresh session as soon as there is room', () => session.facts.sessionId === 'operator-5');
  assertEvery(streams, ({ destroyed }, index) => destroyed === (index === 2), 'only the third stream is closed');
});

test('the end of the channel in use leaves the connections of the retired one alone', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const session = await connect(the);
  const before = await lasting(session, database);
  await pass(clock, 15.1 * 60_000);
  await eventually('the fresh session is used', () => session.facts.sessionId === 'operator-1');
  const inUse = await lasting(session, database);
  the.fake.agent.closeChannel('');
  await eventually('its stream ends', () => inUse.destroyed);
  assert.equal(session.suspect, true, 'the tunnel must open another');
  assert.equal(session.suspectBecause?.code, 'BastionLost', 'and why');
  assert.equal(session.hasRoom, false);
  before.write('pong');
  assert.equal(String((await once(before, 'data'))[0]), 'pong');
  assert.equal(session.signal.aborted, false);
  before.destroy();
  if (!session.signal.aborted) await once(session.signal, 'abort');
  assert.equal((session.signal.reason as TunnelError).code, 'BastionLost');
});

test('clients that are slower than the tunnel for a moment cost no session and no connection', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [database, cache] });
  // In large messages: small ones take a minute on a busy machine.
  the.fake.agentVersion = '3.3.3572.0';
  const session = await connect(the);
  const streams: Duplex[] = [];
  for (let client = 0; client < 6; client += 1) {
    const stream = (await lasting(session, cache)) as PortStream;
    stream.pause();
    stream.write(Buffer.alloc(3 * 1024 * 1024));
    await eventually('so much waits for it that the session stops reading', async () => {
      await clock.advance(10);
      return stream.full;
    });
    stream.resume();
    streams.push(stream);
    await pass(clock, 8_000);
  }
  await pass(clock, 40_000);
  assertEvery(streams, ({ destroyed }) => !destroyed, 'the stream is open');
  assert.equal(the.fake.count('start'), 2);
});

test('a client that finds its channel full gets another beside it', async () => {
  const the = await setting({ destinations: [database, cache] });
  const session = await connect(the);
  const slow = (await lasting(session, cache)) as PortStream;
  slow.pause();
  slow.write(Buffer.alloc(3 * 1024 * 1024));
  await eventually('so much waits for it that the session stops reading', () => slow.full);
  await works(session, cache);
  assert.equal(the.fake.count('start'), 3);
  assert.equal(slow.destroyed, false);
});
