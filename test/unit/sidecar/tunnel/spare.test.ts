// A session over a route beside the one in use, requested for a client whose destination the better bastion cannot reach: however the
// attempt ends, the client is answered. Neighbour: dialer.test.ts, where the spare opens or fails as it should.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../../support/fake-clock.ts';
import { down, orders, refused, type World, world } from './memory-driver.ts';

const never = new AbortController().signal;

/** A client whose destination fails behind a:22 waits for a session over b:22, which does not answer. */
async function waitForSpare(w: World): Promise<{ readonly outcome: () => string }> {
  w.tunnel.start();
  await w.clock.advance(1_000);
  w.driver.answers.set('b:22', 'silent');
  w.driver.destinations.set('a:22 orders.db:5432', down('orders.db:5432'));
  let outcome = 'waits';
  void w.tunnel.dial(orders, never).then(
    ({ via }) => (outcome = via),
    (error: { code?: string }) => (outcome = String(error.code)),
  );
  await w.clock.advance(100);
  return { outcome: () => outcome };
}

test('a client that waits for a spare is answered although the driver no longer names its route', async () => {
  await using w = await world(['a:22', 'b:22']);
  const client = await waitForSpare(w);
  w.driver.vias.splice(1, 1);
  w.driver.lose('a:22', refused('a:22'));
  await w.clock.advance(100);
  assert.equal(client.outcome(), 'DestinationRefused');
});

test('a client that waits for a spare is answered although the driver never ends the attempt', async () => {
  await using w = await world(['a:22', 'b:22']);
  const hung = Promise.withResolvers<never>();
  const connect = w.driver.connect.bind(w.driver);
  w.driver.connect = async (route, options) =>
    route.via === 'b:22' ? await hung.promise : await connect(route, options);
  const client = await waitForSpare(w);
  assert.equal(client.outcome(), 'waits');
  await w.clock.advance(15_000);
  assert.equal(client.outcome(), 'DestinationRefused');
  hung.reject(refused('b:22'));
});

test('a client that waits for a spare is carried by it when all else is lost meanwhile', async () => {
  await using w = await world(['a:22', 'b:22']);
  const client = await waitForSpare(w);
  w.driver.lose('a:22', refused('a:22'));
  w.driver.answers.set('b:22', 'accepts');
  await w.clock.advance(1_500);
  assert.equal(client.outcome(), 'b:22');
});

test('a client that waits for a spare is answered when the tunnel is closed', async () => {
  const w = await world(['a:22', 'b:22']);
  const client = await waitForSpare(w);
  await w[Symbol.asyncDispose]();
  await settle();
  assert.equal(client.outcome(), 'DestinationRefused');
});

test('a client that leaves while it waits for a spare is not waited for, and the spare opens for the next', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(1_000);
  w.driver.answers.set('b:22', { afterMs: 500 });
  w.driver.destinations.set('a:22 orders.db:5432', down('orders.db:5432'));
  const leaving = new AbortController();
  const reason = new Error('gone');
  const first = w.tunnel.dial(orders, leaving.signal).catch((error: unknown) => error);
  await w.clock.advance(100);
  leaving.abort(reason);
  assert.equal(await first, reason);
  let second = 'waits';
  void w.tunnel.dial(orders, never).then(({ via }) => (second = via));
  await w.clock.advance(500);
  assert.equal(second, 'b:22');
  assert.equal(w.driver.attemptsTo('b:22').length, 1);
});
