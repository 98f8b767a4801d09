// Promise 4 where a bastion falls silent: its sessions take no new dials, their streams live on, others carry the clients.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orders, world } from './memory-driver.ts';

const never = new AbortController().signal;

test('a session that falls silent takes no new dials and is replaced at once; its streams live on', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  const { stream } = await w.tunnel.dial(orders, never);
  const silent = first.streams === 1 ? first : second;
  silent.suspect = true;
  await w.clock.advance(10);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert.equal(w.driver.open.length, 3, 'a third was opened');
  const more = await Promise.all([1, 2, 3, 4].map(async () => await w.tunnel.dial(orders, never)));
  assert.equal(silent.streams, 1);
  assert.equal(stream.destroyed, false);
  silent.suspect = false;
  await w.clock.advance(10);
  assert.equal(
    w.tunnel.sessions.filter((entry) => entry.role === 'live').length,
    3,
    'nothing is dropped for its return',
  );
  for (const one of [stream, ...more.map((dialled) => dialled.stream)]) one.destroy();
  await w.clock.advance(10);
  assert.equal(w.driver.open.length, 2, 'what carries nothing and is too much is ended');
});

test('while every session is silent the tunnel is not connected and says so', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.answers.set('a:22', 'silent');
  for (const session of w.driver.open) session.suspect = true;
  await w.clock.advance(1);
  assert.equal(w.tunnel.snapshot.state, 'Failed');
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionTimeout');
  for (const session of w.driver.open) session.suspect = false;
  await w.clock.advance(1);
  assert.equal(w.tunnel.snapshot.state, 'Connected', 'their return is enough');
});

test('silence of the bastion in use lets the other one carry clients', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.answers.set('a:22', 'silent');
  for (const session of w.driver.open) session.suspect = true;
  await w.clock.advance(300);
  assert.equal(w.tunnel.snapshot.via, 'b:22');
});

test('sessions that fall silent one after the other do not pile up: what nobody uses is ended once it is replaced', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  const stream = await w.tunnel.dial(orders, never);
  for (let times = 0; times < 20; times += 1) {
    for (const session of w.driver.open) session.suspect = true;
    await w.clock.advance(10_000);
  }
  // Two that carry, and the one with the stream.
  assert.equal(w.driver.open.filter((session) => !session.suspect).length, 2);
  assert(w.driver.open.length <= 3, `${w.driver.open.length} sessions are open`);
  assert.equal(stream.stream.destroyed, false);
});

test('a session that was opened in vain delays neither the replacement of a silent one nor an outage', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  const [first, second] = w.driver.open;
  assert(first !== undefined && second !== undefined);
  await Promise.all([w.tunnel.dial(orders, never), w.tunnel.dial(orders, never)]);
  first.suspect = true;
  await w.clock.advance(10);
  assert.equal(w.driver.open.length, 3);
  first.suspect = false;
  await w.clock.advance(10);
  assert.equal(w.driver.open.length, 2, 'the third was not used');
  second.suspect = true;
  await w.clock.advance(0);
  assert.equal(w.driver.open.length, 3, 'a silent one is replaced at once');
  second.suspect = false;
  await w.clock.advance(10);
  for (const session of [first, second]) session.suspect = true;
  await w.clock.advance(0);
  assert.equal(w.driver.open.length, 4, 'an outage waits for no pause');
});
