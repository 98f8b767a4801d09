// Continuity with a driver without a network (docs/promises.md, promise 5): what replaces a session is proved first, and nothing is
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Forward } from '../../../../src/contract/tunnel-config.ts';
import { assertEvery } from '../../../support/assert-every.ts';
import { settle } from '../../../support/fake-clock.ts';
import { down, noLogin, orders, refused, type World, world } from './memory-driver.ts';

const never = new AbortController().signal;

test('changed credentials replace the sessions without dropping a stream', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  const { stream } = await w.tunnel.dial(orders, never);
  w.driver.changeCredentials();
  await w.clock.advance(10);
  const live = w.tunnel.sessions.filter((entry) => entry.role === 'live');
  assert.deepEqual(
    live.map((entry) => entry.credentialsGeneration),
    [1, 1],
  );
  assert.equal(stream.destroyed, false);
  assert.equal(
    w.tunnel.sessions.filter((entry) => entry.role === 'retired').length,
    1,
    'the one with the stream is kept',
  );
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('changed credentials that are refused end nothing, and are tried again every minute', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.answers.set('a:22', noLogin('a:22'));
  w.driver.changeCredentials();
  await w.clock.advance(300_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert.equal(w.driver.open.length, 2);
  const tries = w.driver.attemptsTo('a:22').length - 2;
  assert(tries >= 4 && tries <= 7, `${tries} tries in five minutes`);
  await w.tunnel.dial(orders, never);
  w.driver.answers.set('a:22', 'accepts');
  w.driver.changeCredentials();
  await w.clock.advance(10);
  assertEvery(
    w.tunnel.sessions.filter((entry) => entry.role === 'live'),
    (entry) => entry.credentialsGeneration === 2,
    'the live session has the new credentials',
  );
});

test('a session that runs over a route which the driver had not named is no worse than the named one', async () => {
  await using w = await world(['gateway-1'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  // As with fly.io: the new peer of new credentials is given another gateway.
  w.driver.movedTo = 'gateway-2';
  w.driver.vias.splice(0, 1, 'gateway-2');
  w.driver.changeCredentials();
  await w.clock.advance(180_000);
  assert.equal(w.driver.attempts.length, 2, 'no session is opened to return to the old one');
  assert.deepEqual(
    w.tunnel.snapshot.routes.map(({ via, state }) => ({ via, state })),
    [{ via: 'gateway-2', state: 'InUse' }],
  );
});

/** The only session, while it carries the one stream of its life. */

async function spendOnly(w: World) {
  w.tunnel.start();
  await w.clock.advance(0);
  const { stream } = await w.tunnel.dial(orders, never);
  const [first] = w.driver.open;
  assert(first !== undefined);
  first.spent = true;
  return { first, stream };
}

test('a session that takes one stream in its life makes way for another after it', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  const { first, stream } = await spendOnly(w);
  const states = new Set<string>();
  w.tunnel.onChange(() => states.add(w.tunnel.snapshot.state));
  w.driver.answers.set('a:22', { afterMs: 1_000 });
  stream.destroy();
  await w.clock.advance(2_000);
  assert.equal(first.closed, true);
  assert.deepEqual([...states], ['Connected'], 'it goes when the other is there');
  assert.deepEqual(
    w.tunnel.sessions.map((entry) => entry.session.hasRoom),
    [true],
  );
});

test('a session that had its one stream hides no outage: if the next cannot be opened, that is reported, and tried as in any outage', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  const { stream } = await spendOnly(w);
  w.driver.answers.set('a:22', refused('a:22'));
  stream.destroy();
  await w.clock.advance(60_000);
  assert.equal(w.tunnel.snapshot.state, 'Failed');
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionRefused');
  assert(w.driver.attemptsTo('a:22').length > 40, 'as often as in any outage');
});

test('a new session that answers no dial does not replace a working one', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  const before = w.driver.open;
  // The login works, but the bastion answers nothing to the new session.
  w.driver.destinations.set('orders.db:5432', 'silent');
  w.driver.changeCredentials();
  await w.clock.advance(5);
  const shadow = w.driver.open.at(-1);
  assert(shadow !== undefined && !before.includes(shadow));
  shadow.suspect = true;
  await w.clock.advance(11_000);
  assert.equal(shadow.closed, true);
  assert.deepEqual(
    w.tunnel.sessions.filter((entry) => entry.role === 'live').map((entry) => entry.credentialsGeneration),
    [0, 0],
  );
  w.driver.destinations.clear();
  await w.clock.advance(120_000);
  assert.deepEqual(
    w.tunnel.sessions.filter((entry) => entry.role === 'live').map((entry) => entry.credentialsGeneration),
    [1, 1],
  );
});

test('a failure beyond the bastion proves a session as well as a success', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', down('orders.db:5432'));
  w.driver.changeCredentials();
  await w.clock.advance(10);
  assertEvery(w.tunnel.sessions, (entry) => entry.credentialsGeneration === 1, 'the sessions keep the old credentials');
});

test('MySQL is never dialled as a proof: where there is nothing else, the bastion’s own discard port is', async () => {
  const sales: Forward = {
    ...orders,
    name: 'sales',
    destination: { host: 'sales.db', port: 3306 },
    appProtocol: 'mysql',
  };
  for (const forwards of [[sales], [sales, orders]]) {
    await using w = await world(['a:22'], { forwards });
    w.driver.destinations.set('localhost:9', down('localhost:9'));
    w.tunnel.start();
    await w.clock.advance(0);
    w.driver.changeCredentials();
    await w.clock.advance(10);
    assertEvery(
      w.tunnel.sessions,
      (entry) => entry.credentialsGeneration === 1,
      'the sessions keep the old credentials',
    );
    const dialled = w.driver.sessions.flatMap(({ dials }) => dials);
    assert.deepEqual([...new Set(dialled)], forwards.length === 1 ? ['localhost:9'] : ['orders.db:5432']);
  }
});

/** A session with changed credentials waits for the answer to its proof, and all others are lost for good. */

async function leaveTrialAlone(w: World): Promise<void> {
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.destinations.set('orders.db:5432', 'silent');
  w.driver.changeCredentials();
  await w.clock.advance(5);
  w.driver.answers.set('a:22', refused('a:22'));
  for (const session of w.driver.open.slice(0, 2)) session.lose();
  await w.clock.advance(5);
}

test('the last of a trial is used when the session that it was to replace is lost', async () => {
  await using w = await world(['a:22']);
  await leaveTrialAlone(w);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('a trial that became the only session lives on, although what was to prove it stays without an answer', async () => {
  await using w = await world(['a:22']);
  await leaveTrialAlone(w);
  w.driver.destinations.clear();
  const { stream } = await w.tunnel.dial(orders, never);
  const [only] = w.driver.open;
  assert(only !== undefined);
  // As sshd is while it resolves a name.
  only.suspect = true;
  await w.clock.advance(20_000);
  only.suspect = false;
  assert.equal(stream.destroyed, false);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('at most four replaced sessions are kept; the oldest then gets the drain timeout', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  const streams = [];
  for (let i = 0; i < 5; i++) {
    streams.push((await w.tunnel.dial(orders, never)).stream);
    w.driver.changeCredentials();
    await w.clock.advance(10);
  }
  assert.equal(w.tunnel.sessions.filter((entry) => entry.role === 'retired').length, 5);
  assertEvery(streams, (stream) => !stream.destroyed, 'the stream is open');
  await w.clock.advance(29_000);
  assertEvery(streams, (stream) => !stream.destroyed, 'it has its drain timeout');
  await w.clock.advance(2_000);
  assert.deepEqual(
    streams.map((stream) => stream.destroyed),
    [true, false, false, false, false],
  );
});

test('an attempt with the old credentials that ends after their change is not taken for the new ones', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', { afterMs: 500 });
  w.tunnel.start();
  await w.clock.advance(100);
  w.driver.changeCredentials();
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assertEvery(w.driver.open, (session) => session.credentials === 1, 'the sessions keep the old credentials');
});

test('closing ends sessions, attempts and waiting clients', async () => {
  const w = await world(['a:22']);
  w.driver.answers.set('a:22', 'silent');
  w.tunnel.start();
  await w.clock.advance(500);
  const dial = w.tunnel.dial(orders, never).then(
    () => 'carried',
    (error: { code?: string }) => error.code,
  );
  await settle();
  await w[Symbol.asyncDispose]();
  assert.equal(await dial, 'NotConnected');
});
