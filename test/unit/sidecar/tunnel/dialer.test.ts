// What a client meets when there is no session, when one is lost under its dial, and when the destination fails behind one bastion.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { assertEvery } from '../../../support/assert-every.ts';
import { settle } from '../../../support/fake-clock.ts';
import { down, type MemorySession, noLogin, orders, refused, type World, world } from './memory-driver.ts';

const never = new AbortController().signal;
const outcome = async (dial: Promise<{ readonly via: string }>): Promise<string> =>
  await dial.then(
    ({ via }) => via,
    (error: unknown) => (error instanceof TunnelError ? error.code : String(error)),
  );

/** The outcome of a dial that waits for nothing but promises. */
async function outcomeNow(w: World): Promise<string> {
  let result = 'still waits';
  void outcome(w.tunnel.dial(orders, never)).then((value) => (result = value));
  await w.clock.advance(0);
  return result;
}

test('a client is held for 5 s and then told the reason', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', refused('a:22'));
  w.tunnel.start();
  let ended = false;
  const dial = outcome(w.tunnel.dial(orders, never)).finally(() => {
    ended = true;
  });
  await w.clock.advance(4_900);
  assert.equal(ended, false);
  await w.clock.advance(200);
  assert.equal(await dial, 'BastionRefused');
});

test('a held client is carried as soon as there is a session', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', { afterMs: 3_000 });
  w.tunnel.start();
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(3_001);
  assert.equal(await dial, 'a:22');
});

test('where only a person can help a client is not held', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', noLogin('a:22'));
  w.tunnel.start();
  await w.clock.advance(10);
  assert.equal(await outcomeNow(w), 'AuthenticationFailed');
});

test('a session lost under a dial is replaced by another without the client noticing', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', { afterMs: 500 });
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(100);
  w.driver.open.find((session) => session.dials.length > 0)?.lose();
  await w.clock.advance(600);
  assert.equal(await dial, 'a:22');
});

test('a destination that the first bastion cannot reach is dialled through the next, and from then on there first', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('a:22 orders.db:5432', down('orders.db:5432'));
  assert.equal(await outcomeNow(w), 'b:22');
  const asked = (): number =>
    w.driver.sessions.filter(({ via }) => via === 'a:22').reduce((sum, { dials }) => sum + dials.length, 0);
  assert.equal(asked(), 1);
  assert.equal(await outcomeNow(w), 'b:22');
  assert.equal(asked(), 1, 'the first bastion was not asked again');
  assert.equal(w.tunnel.snapshot.via, 'a:22', 'other forwards stay where they are');
  await w.clock.advance(61_000);
  assert.equal(await outcomeNow(w), 'b:22');
  assert.equal(asked(), 2, 'but is asked again after a minute');
});

test('a destination that no bastion reaches fails with the first bastion’s reason', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('a:22 orders.db:5432', down('orders.db:5432'));
  w.driver.destinations.set('b:22 orders.db:5432', new TunnelError('ForwardingProhibited', 'not allowed'));
  assert.equal(await outcomeNow(w), 'DestinationRefused');
});

test('a spare session is closed a minute after its last use', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', down('orders.db:5432'));
  await outcomeNow(w);
  assert.equal(w.driver.open.filter(({ via }) => via === 'b:22').length, 1);
  await w.clock.advance(61_000);
  assert.equal(w.driver.open.filter(({ via }) => via === 'b:22').length, 0);
});

test('a next bastion that is down delays the reason no more than once a minute', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.driver.answers.set('b:22', refused('b:22'));
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', down('orders.db:5432'));
  for (let i = 0; i < 10; i++) assert.equal(await outcomeNow(w), 'DestinationRefused');
  assert.equal(w.driver.attemptsTo('b:22').length, 1);
});

test('a silent destination fails with its own reason after the connect timeout', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', 'silent');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(10_100);
  assert.equal(await dial, 'DestinationTimeout');
});

test('a dial that ends with the session’s silence is no verdict on the destination and goes over another session', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', 'silent');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(5_000);
  for (const session of w.driver.open) session.suspect = true;
  w.driver.destinations.clear();
  await w.clock.advance(6_000);
  assert.equal(await dial, 'a:22');
  assert(!w.counted.includes('dialled DestinationTimeout'));
});

/** Every session of the bastion stands still from now on: it answers neither dials nor questions. */
function stall(w: World, via: string): void {
  w.driver.destinations.set(`${via} orders.db:5432`, 'silent');
  for (const session of w.driver.open) if (session.via === via) session.silentSince = w.clock.now();
}

const dialledOver = (session: MemorySession | undefined): number => session?.dials.length ?? 0;

test('a dial on a session that is silent for 2 s goes over its twin as well, and the first is given up', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  const [first, twin] = w.driver.open;
  assert(first !== undefined && twin !== undefined);
  w.driver.destinations.set('orders.db:5432', 'silent');
  const dial = w.tunnel.dial(orders, never);
  await w.clock.advance(0);
  const [silent, other] = dialledOver(first) === 1 ? [first, twin] : [twin, first];
  silent.silentSince = w.clock.now();
  w.driver.destinations.clear();
  await w.clock.advance(1_900);
  assert.equal(dialledOver(other), 0);
  assert.deepEqual([silent.asked, other.asked], [1, 1], 'both were asked for a sign of life');
  await w.clock.advance(200);
  const { stream, signal } = await dial;
  assert.equal(signal, other.signal);
  assert.equal(w.tunnel.sessions.find(({ session }) => session === silent)?.carried, 0);
  assert.deepEqual(w.counted.filter((event) => event.startsWith('dialled')).length, 1);
  stream.destroy();
});

test('where every session of a bastion is silent the dial goes over the next bastion', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.driver.answers.set('b:22', { afterMs: 300 });
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(2_400);
  assert.equal(await dial, 'b:22');
});

test('a twin that fell silent a little later is not taken for one that lives', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(0);
  for (const session of w.driver.open) if (dialledOver(session) === 0) session.silentSince = w.clock.now() + 450;
  await w.clock.advance(2_400);
  assert.equal(await dial, 'b:22');
});

test('a server of MySQL counts broken-off dials: its dial on a silent session has no second', async () => {
  await using w = await world(['a:22', 'b:22'], { forwards: [{ ...orders, appProtocol: 'mysql' }] });
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  const dial = outcome(w.tunnel.dial({ ...orders, appProtocol: 'mysql' }, never));
  await w.clock.advance(9_000);
  assert.equal(w.driver.sessions.filter(({ dials }) => dials.length > 0).length, 1);
  w.driver.destinations.clear();
  for (const session of w.driver.open) session.suspect = true;
  await w.clock.advance(2_000);
  await dial;
});

test('a session that answers when it is asked is not silent: a slow destination is dialled once', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.destinations.set('orders.db:5432', { afterMs: 8_000 });
  for (const session of w.driver.open) {
    session.silentSince = w.clock.now() - 1_800;
    session.askForLife = () => (session.silentSince = w.clock.now() - 20);
  }
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(8_100);
  assert.equal(await dial, 'a:22');
  assert.equal(
    w.driver.sessions.reduce((sum, { dials }) => sum + dials.length, 0),
    1,
  );
});

test('the first dial wins if the silent session answers before the other', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  w.driver.destinations.set('a:22 orders.db:5432', { afterMs: 3_000 });
  w.driver.destinations.set('b:22 orders.db:5432', 'silent');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(3_100);
  assert.equal(await dial, 'a:22');
  const other = w.tunnel.sessions.find(({ via }) => via === 'b:22');
  assert.equal(other?.session.streams, 0);
  assert.equal(other?.carried, 0);
});

test('a failure of the second dial is not the client’s: the silent session may still answer', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  w.driver.destinations.set('a:22 orders.db:5432', { afterMs: 6_000 });
  w.driver.destinations.set('b:22 orders.db:5432', down('orders.db:5432'));
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(6_100);
  assert.equal(await dial, 'a:22');
});

test('with one bastion the dial on a silent session goes over the session that replaces it', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(45_000);
  stall(w, 'a:22');
  const dial = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(4_000);
  w.driver.destinations.clear();
  for (const session of w.driver.open) session.suspect = true;
  await w.clock.advance(100);
  assert.equal(await dial, 'a:22');
});

test('a client that leaves while it is held, or while it is dialled for, leaves nothing behind', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.driver.answers.set('a:22', 'silent');
  w.driver.answers.set('b:22', 'silent');
  w.tunnel.start();
  const leaving = new AbortController();
  const held = w.tunnel.dial(orders, leaving.signal).catch((error: unknown) => error);
  await w.clock.advance(10);
  const reason = new Error('gone');
  leaving.abort(reason);
  assert.equal(await held, reason);
  w.driver.answers.clear();
  await w.clock.advance(2_000);
  w.driver.destinations.set('orders.db:5432', 'silent');
  const second = new AbortController();
  const dialled = w.tunnel.dial(orders, second.signal).catch((error: unknown) => error);
  await w.clock.advance(10);
  second.abort(reason);
  assert.equal(await dialled, reason);
  await settle();
  assertEvery(w.tunnel.sessions, (entry) => entry.carried === 0, 'no session carries a stream');
});

test('a stream that broke before anyone could listen counts neither as carried nor as a client', async () => {
  await using w = await world(['a:22'], { mode: 'OnDemand', sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  const connect = w.driver.connect.bind(w.driver);
  w.driver.connect = async (...given) => {
    const session = await connect(...given);
    session.dial = async () => {
      const stream = new Duplex();
      stream.destroy();
      await once(stream, 'close');
      return stream;
    };
    return session;
  };
  assert.equal(await outcomeNow(w), 'a:22');
  assert.deepEqual(
    w.tunnel.sessions.map((entry) => entry.carried),
    [0],
  );
  await w.clock.advance(601_000);
  assert.equal(w.tunnel.snapshot.state, 'Idle');
});

test('when every session is full another is opened, and ended when it carries nothing any more', async () => {
  await using w = await world(['a:22']);
  w.driver.room = 2;
  w.tunnel.start();
  await w.clock.advance(0);
  const dials = await Promise.all(Array.from({ length: 4 }, async () => await w.tunnel.dial(orders, never)));
  assert.equal(w.driver.open.length, 2);
  const fifth = w.tunnel.dial(orders, never);
  await w.clock.advance(10);
  const { stream } = await fifth;
  assert.equal(w.driver.open.length, 3);
  stream.destroy();
  dials[0]?.stream.destroy();
  await w.clock.advance(10);
  assert.equal(w.driver.open.length, 2);
});

test('clients that come and go while all room is taken bring no session each', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.driver.room = 3;
  w.tunnel.start();
  await w.clock.advance(0);
  const dials = await Promise.all(Array.from({ length: 3 }, async () => await w.tunnel.dial(orders, never)));
  for (let round = 0; round < 50; round += 1) {
    dials.shift()?.stream.destroy();
    await w.clock.advance(50);
    dials.push(await w.tunnel.dial(orders, never));
    await w.clock.advance(50);
  }
  assert.equal(w.driver.attempts.length, 1);
});

test('a client for whom no session has room and none can be opened hears of the limit', async () => {
  await using w = await world(['a:22']);
  w.driver.room = 1;
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.answers.set('a:22', refused('a:22'));
  const first = await w.tunnel.dial(orders, never);
  await w.tunnel.dial(orders, never);
  const third = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(100);
  first.stream.destroy();
  await w.clock.advance(100);
  assert.equal(await third, 'a:22', 'a held client gets the room that another left');
  const fourth = outcome(w.tunnel.dial(orders, never));
  await w.clock.advance(5_100);
  assert.equal(await fourth, 'ConnectionLimit');
});

test('probes do not wait for a session', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', 'silent');
  w.tunnel.start();
  await settle();
  assert.equal(await outcome(w.tunnel.probe(orders, never)), 'NotConnected');
});
