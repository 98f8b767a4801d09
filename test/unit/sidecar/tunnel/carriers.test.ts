// Sessions over which the native engine carries: which of them, what their clients are to the tunnel, and how a dial goes on in JavaScript.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EarlierDial } from '../../../../src/sidecar/base/carrier.ts';
import { linkCells } from '../../../../src/sidecar/base/native-engine.ts';
import type { TunnelOptions } from '../../../../src/sidecar/tunnel/tunnel-options.ts';
import { settle } from '../../../support/fake-clock.ts';
import type { FakeCarrier } from '../../../support/fake-engine.ts';
import { down, type MemorySession, orders, type World, world } from './memory-driver.ts';

/** A started tunnel whose sessions carry natively. */
async function carrying(vias: readonly string[], options: Partial<TunnelOptions> = {}): Promise<World> {
  const w = await world(vias, options);
  w.driver.carriesNatively = true;
  w.tunnel.start();
  await w.clock.advance(1_000);
  return w;
}

const carrierOf = ({ carrier }: MemorySession): FakeCarrier => {
  assert(carrier !== undefined);
  return carrier;
};

function earlier(session: MemorySession, dial: Partial<EarlierDial> = {}): EarlierDial {
  return { carrier: carrierOf(session), cause: 'refused', reason: 2, text: 'no', tookMs: 5, ...dial };
}

const never = new AbortController().signal;

test('the usable live sessions carry: none that is silent, none on trial', async () => {
  await using w = await carrying(['a', 'b']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  assert.deepEqual(w.tunnel.carriers.of(orders), [carrierOf(first), carrierOf(second)]);
  let changes = 0;
  w.tunnel.carriers.onChange(() => (changes += 1));
  first.suspect = true;
  assert.deepEqual(w.tunnel.carriers.of(orders), [carrierOf(second)]);
  assert(changes > 0);
  first.suspect = false;
  w.driver.destinations.set('orders.db:5432', 'silent');
  w.driver.changeCredentials();
  await w.clock.advance(500);
  const trial = w.driver.open.find(({ credentials }) => credentials === 1);
  assert(trial !== undefined);
  assert.equal(w.tunnel.carriers.of(orders).includes(carrierOf(trial)), false);
});

test('a replaced session takes no clients of the engine any more, and lives until its last one ends', async () => {
  await using w = await carrying(['a']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  carrierOf(first).count(1, 0);
  w.driver.changeCredentials();
  await w.clock.advance(60_000);
  assert.deepEqual([first.closed, second.closed], [false, true]);
  assert.equal(w.tunnel.carriers.of(orders).includes(carrierOf(first)), false);
  carrierOf(first).count(-1, 0);
  assert.equal(first.closed, true);
});

test('a replaced session whose last client came and went unnoticed is ended when the tunnel looks again', async () => {
  await using w = await carrying(['a']);
  const [first] = w.driver.open;
  assert(first !== undefined);
  const { cells } = carrierOf(first);
  cells[linkCells.channels] = 1;
  w.driver.changeCredentials();
  await w.clock.advance(10_000);
  assert.equal(first.closed, false);
  cells[linkCells.channels] = 0;
  await w.clock.advance(61_000);
  assert.equal(first.closed, true);
});

test('clients of the engine count where sessions are chosen', async () => {
  await using w = await carrying(['a']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  carrierOf(first).count(3, 0);
  const { stream } = await w.tunnel.dial(orders, never);
  assert.deepEqual([first.dials.length, second.dials.length], [0, 1]);
  assert.deepEqual(
    w.tunnel.sessions.map(({ carried }) => carried),
    [3, 1],
  );
  stream.destroy();
  carrierOf(first).count(-3, 0);
});

test('a client of the engine keeps an OnDemand tunnel open; the idle timeout begins with the end of the last one', async () => {
  await using w = await world(['a'], { mode: 'OnDemand', idleTimeoutMs: 60_000 });
  w.driver.carriesNatively = true;
  w.tunnel.start();
  assert.deepEqual(w.tunnel.carriers.of(orders), [], 'the first client wakes the tunnel in JavaScript');
  const { stream } = await w.tunnel.dial(orders, never);
  await settle();
  const [session] = w.driver.open;
  assert(session !== undefined);
  carrierOf(session).count(1, 0);
  stream.destroy();
  await w.clock.advance(600_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  carrierOf(session).count(-1, 0);
  await w.clock.advance(59_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Idle');
});

test('a session that is lost while the engine carries leaves an OnDemand tunnel that becomes idle', async () => {
  await using w = await world(['a'], { mode: 'OnDemand', idleTimeoutMs: 60_000 });
  w.driver.carriesNatively = true;
  w.tunnel.start();
  const { stream } = await w.tunnel.dial(orders, never);
  await settle();
  for (const session of w.driver.open) carrierOf(session).count(1, 0);
  stream.destroy();
  for (const session of w.driver.open) session.lose();
  await w.clock.advance(61_000);
  assert.equal(w.tunnel.snapshot.state, 'Idle');
});

test('a refused dial of the engine is tried through the next bastion, over which the engine carries from then on', async () => {
  await using w = await carrying(['a', 'b']);
  const [session] = w.driver.open;
  assert(session !== undefined);
  let carriers: readonly unknown[] = [];
  w.tunnel.carriers.onChange(() => (carriers = w.tunnel.carriers.of(orders)));
  const { via, stream } = await w.tunnel.dial(orders, never, earlier(session));
  assert.equal(via, 'b');
  assert.deepEqual(session.dials, [], 'the first bastion is not asked again');
  assert.deepEqual(
    carriers.map((carrier) => (carrier as FakeCarrier).via),
    ['b'],
  );
  assert(w.counted.includes('dialled DestinationRefused'));
  stream.destroy();
  await w.clock.advance(180_000);
  assert.deepEqual(
    new Set(w.tunnel.carriers.of(orders).map((carrier) => (carrier as FakeCarrier).via)),
    new Set(['a']),
    'a minute later the first bastion is tried again',
  );
});

test('the client hears the engine’s failure if the next bastion fails, too', async () => {
  await using w = await carrying(['a', 'b']);
  const [session] = w.driver.open;
  assert(session !== undefined);
  w.driver.destinations.set('b orders.db:5432', down('orders.db:5432'));
  await assert.rejects(w.tunnel.dial(orders, never, earlier(session)), { message: 'refused: no' });
});

test('an unanswered dial of the engine is a timeout; over a silent session it says nothing about the destination', async () => {
  await using w = await carrying(['a']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  await assert.rejects(w.tunnel.dial(orders, never, earlier(first, { cause: 'timeout' })), {
    code: 'DestinationTimeout',
  });
  first.suspect = true;
  const { stream } = await w.tunnel.dial(orders, never, earlier(first, { cause: 'timeout' }));
  assert.equal(second.dials.length, 1);
  stream.destroy();
});

test('a dial whose session was lost begins anew', async () => {
  await using w = await carrying(['a']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  first.lose();
  const { stream } = await w.tunnel.dial(orders, never, earlier(first, { cause: 'lost' }));
  assert.equal(second.dials.length, 1);
  stream.destroy();
  const dials = w.counted.filter((event) => event.startsWith('dialled'));
  assert.deepEqual(dials, ['dialled BastionLost', 'dialled ok'], 'the lost dial counts as one of JavaScript does');
});

test('a dial on a silent session is taken back once the session was asked, and goes on over it and another at once', async () => {
  await using w = await carrying(['a']);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  const silent: unknown[] = [];
  w.tunnel.carriers.onSilent((carrier) => silent.push(carrier));
  first.silentSince = w.clock.now();
  carrierOf(first).count(1, 0);
  await w.clock.advance(5_000);
  assert.deepEqual([silent, first.asked], [[], 0], 'nobody waits');
  carrierOf(first).count(1, 1);
  await w.clock.advance(600);
  assert(first.asked > 0 && second.asked > 0);
  assert.deepEqual(silent, []);
  await w.clock.advance(1_000);
  assert.equal(silent[0], carrierOf(first));
  carrierOf(first).count(-2, -1);
  w.driver.destinations.set('orders.db:5432', { afterMs: 100 });
  const dialled = w.tunnel.dial(orders, never, earlier(first, { cause: 'taken' }));
  await settle();
  assert.deepEqual([first.dials.length, second.dials.length], [1, 1]);
  await w.clock.advance(100);
  (await dialled).stream.destroy();
});

test('a session that speaks keeps its dials, however long they take', async () => {
  await using w = await carrying(['a']);
  const [first] = w.driver.open;
  assert(first !== undefined);
  let taken = 0;
  w.tunnel.carriers.onSilent(() => (taken += 1));
  carrierOf(first).count(1, 1);
  await w.clock.advance(9_000);
  assert.equal(taken, 0);
  carrierOf(first).count(-1, -1);
});

test('a destination that the bastion prohibits is asked for again on a fresh session', async () => {
  await using w = await carrying(['a']);
  await w.clock.advance(120_000);
  const [first] = w.driver.open;
  assert(first !== undefined);
  const sessions = w.driver.sessions.length;
  const dial = w.tunnel.dial(orders, never, earlier(first, { text: 'prohibited' }));
  await assert.rejects(dial, { code: 'ForwardingProhibited' });
  await w.clock.advance(1_000);
  assert(w.driver.sessions.length > sessions);
});
