// A destination that the bastion prohibits: a fresh session finds out when it is permitted, and nothing is dropped for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { orders, world } from './memory-driver.ts';

const never = new AbortController().signal;

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
