// Continuity with a driver without a network (docs/promises.md, promise 5): what replaces a session is proved first, and nothing is
// dropped for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
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
  assert(
    w.tunnel.sessions.filter((entry) => entry.role === 'live').every((entry) => entry.credentialsGeneration === 2),
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

test('a session that had its one stream hides no outage: when the next cannot be opened, that is told and hurried', async () => {
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
  assert(w.tunnel.sessions.every((entry) => entry.credentialsGeneration === 1));
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
  assert(streams.every((stream) => !stream.destroyed));
  await w.clock.advance(29_000);
  assert(
    streams.every((stream) => !stream.destroyed),
    'it has its drain timeout',
  );
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
  assert(w.driver.open.every((session) => session.credentials === 1));
});

const prohibited = new TunnelError('ForwardingProhibited', 'a:22 does not allow forwarding to orders.db:5432');
const askEveryTenSeconds = async (w: Awaited<ReturnType<typeof world>>, seconds: number): Promise<void> => {
  for (let passed = 0; passed < seconds; passed += 10) {
    await w.tunnel.probe(orders, never).then(
      ({ stream }) => stream.destroy(),
      () => undefined,
    );
    await w.clock.advance(10_000);
  }
};

test('a destination that was prohibited when the sessions were opened is carried within a minute of the permission', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  // sshd judges by what was configured at the login, so the old sessions go on refusing.
  for (const session of w.driver.open) session.dial = () => Promise.reject(prohibited);
  await assert.rejects(w.tunnel.dial(orders, never), /does not allow/);
  await askEveryTenSeconds(w, 80);
  const { stream } = await w.tunnel.dial(orders, never);
  assert.equal(stream.destroyed, false);
});

test('while it stays prohibited a fresh session is asked once a minute, and no working session ends for it', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  const working = w.driver.open;
  w.driver.destinations.set('orders.db:5432', prohibited);
  await askEveryTenSeconds(w, 600);
  assert.deepEqual(w.driver.open, working);
  const asked = w.driver.sessions.length - working.length;
  assert(asked >= 7 && asked <= 11, `${asked} fresh sessions in ten minutes`);
});

test('a fresh session that an outage overtook does not stay the last one', async () => {
  await using w = await world(['a:22']);
  w.driver.destinations.set('orders.db:5432', prohibited);
  w.tunnel.start();
  await w.clock.advance(61_000);
  w.driver.answers.set('a:22', { afterMs: 5_000 });
  await assert.rejects(w.tunnel.probe(orders, never), /does not allow/);
  await w.clock.advance(100);
  // The fresh one is on its way; now it is not a fresh one beside others, but the only one.
  for (const session of w.driver.open) session.lose();
  w.driver.answers.clear();
  await w.clock.advance(10_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  for (const session of w.driver.open) session.dial = () => Promise.reject(prohibited);
  w.driver.destinations.clear();
  await askEveryTenSeconds(w, 80);
  assert.equal((await w.tunnel.dial(orders, never)).stream.destroyed, false);
});

test('after such an outage a better bastion is returned to, and none is hammered', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.driver.destinations.set('orders.db:5432', prohibited);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.lose('a:22');
  await w.clock.advance(70_000);
  w.driver.answers.set('b:22', { afterMs: 5_000 });
  await assert.rejects(w.tunnel.probe(orders, never), /does not allow/);
  for (const session of w.driver.open) session.lose();
  w.driver.answers.set('b:22', { afterMs: 100 });
  await w.clock.advance(3_000);
  assert.equal(w.tunnel.snapshot.via, 'b:22');
  w.driver.answers.set('a:22', { afterMs: 100 });
  const before = w.driver.attempts.length;
  for (let second = 0; second < 300; second++) {
    await w.clock.advance(1_000);
    const attempts = w.driver.attempts.length - before;
    assert(attempts < 20, `${attempts} attempts in ${second} s`);
  }
  assert.equal(w.tunnel.snapshot.via, 'a:22');
});

test('a fresh session that became the only one meanwhile is kept, although the destination stays prohibited', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.driver.destinations.set('orders.db:5432', prohibited);
  w.tunnel.start();
  await w.clock.advance(61_000);
  const connect = w.driver.connect.bind(w.driver);
  w.driver.connect = async (...given) => {
    const session = await connect(...given);
    session.dial = () => new Promise((_, reject) => w.clock.after(1_000, () => reject(prohibited)));
    return session;
  };
  await assert.rejects(w.tunnel.probe(orders, never), /does not allow/);
  await w.clock.advance(10);
  const [old, fresh] = w.driver.open;
  old?.lose();
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert(fresh !== undefined && w.driver.open.includes(fresh));
});

test('an idle tunnel opens nothing, a client opens it, and it closes after the idle timeout', async () => {
  await using w = await world(['a:22'], { mode: 'OnDemand' });
  w.tunnel.start();
  await w.clock.advance(3_600_000);
  assert.equal(w.driver.attempts.length, 0);
  assert.equal(w.tunnel.snapshot.state, 'Idle');
  const { stream } = await w.tunnel.dial(orders, never);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  await w.clock.advance(3_600_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected', 'a client that says nothing is not idleness');
  stream.destroy();
  await w.clock.advance(599_000);
  const again = await w.tunnel.dial(orders, never);
  again.stream.destroy();
  await w.clock.advance(599_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  (await w.tunnel.probe(orders, never)).stream.destroy();
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Idle', 'a probe is no activity');
  assert.equal(w.driver.open.length, 0);
});

test('an idle tunnel holds its first client for the connect timeout', async () => {
  await using w = await world(['a:22'], { mode: 'OnDemand', connectTimeoutMs: 20_000 });
  w.driver.answers.set('a:22', refused('a:22'));
  w.tunnel.start();
  const dial = w.tunnel.dial(orders, never).then(
    () => 'carried',
    (error: unknown) => String(error),
  );
  await w.clock.advance(15_000);
  w.driver.answers.set('a:22', 'accepts');
  await w.clock.advance(2_000);
  assert.equal(await dial, 'carried');
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
