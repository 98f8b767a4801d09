// A tunnel that is open only while clients need it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orders, refused, world } from './memory-driver.ts';

const never = new AbortController().signal;

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
