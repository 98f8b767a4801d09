import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../../../../lab/base/eventually.ts';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { walkerOf } from '../../../../../../src/sidecar/base/walker.ts';
import { Leftovers } from '../../../../../../src/sidecar/drivers/ssm/aws/leftovers.ts';
import { FakeClock } from '../../../../../support/fake-clock.ts';
import { connect, database, setting, works } from '../driver-world.ts';
import { silentLog } from '../silent-log.ts';

const reason = 'portforward/shop/orders-db/uid';

class World {
  readonly clock = new FakeClock();
  readonly ended: string[] = [];
  error: TunnelError | undefined;
  lists = 0;
  others: { readonly sessionId: string; readonly reason: string }[] = [];
  /** A session that becomes known while `startsSettled` is awaited. */
  startedMeanwhile: string | undefined;
  readonly over = new AbortController();

  async run(): Promise<void> {
    const leftovers = new Leftovers({
      api: {
        activeSessions: async () => {
          this.lists += 1;
          if (this.error !== undefined) throw this.error;
          return [{ sessionId: 'a', reason }, { sessionId: 'b', reason }, ...this.others];
        },
        terminateSession: async (id) => {
          this.ended.push(id);
        },
      },
      reason,
      target: undefined,
      startsSettled: async () => {
        if (this.startedMeanwhile !== undefined) leftovers.started(this.startedMeanwhile);
      },
      clock: this.clock,
      log: silentLog,
    });
    leftovers.end(this.over.signal);
    await leftovers.settled();
  }
}

test('what a walk of an earlier process left is ended; a walk of this one and other pods are left alone', async () => {
  const world = new World();
  world.others = [
    { sessionId: 'walk', reason: `${reason}-walk-0a1b2c` },
    { sessionId: 'own-walk', reason: walkerOf(reason) },
    { sessionId: 'other', reason: `${reason}2` },
    { sessionId: 'others-walk', reason: `${reason}2-walk-0a1b2c` },
  ];
  await world.run();
  assert.deepEqual(world.ended, ['a', 'b', 'walk']);
});

test('a session that was being started when the list was made is not taken for a leftover', async () => {
  const world = new World();
  world.startedMeanwhile = 'b';
  await world.run();
  assert.deepEqual(world.ended, ['a']);
});

test('a transient failure is tried five times at most, a denial once, and an abort ends the wait', async () => {
  const world = new World();
  world.error = new TunnelError('Throttled', 'slow down');
  const run = world.run();
  await world.clock.advance(65_000);
  assert.equal(world.lists, 3);
  world.error = undefined;
  await world.clock.advance(30_000);
  await run;
  assert.deepEqual(world.ended, ['a', 'b']);

  const failing = new World();
  failing.error = new TunnelError('ServiceFailed', 'down');
  const all = failing.run();
  await failing.clock.advance(10 * 60_000);
  await all;
  assert.equal(failing.lists, 5);

  const denied = new World();
  denied.error = new TunnelError('AccessDenied', 'no');
  await denied.run();
  assert.equal(denied.lists, 1);

  const stopped = new World();
  stopped.error = new TunnelError('Throttled', 'slow down');
  const waiting = stopped.run();
  await stopped.clock.advance(1_000);
  stopped.over.abort(new Error('closed'));
  await waiting;
  assert.equal(stopped.clock.pending, 0);
});

test('sessions that an earlier container of the pod left are ended once the first one is open, and no others', async () => {
  const the = await setting();
  const ours = 'portforward/shop/orders-db/uid';
  the.fake.left.push(
    { sessionId: 'left-1', reason: ours, target: 'i-0abc' },
    { sessionId: 'sibling', reason: 'portforward/shop/orders-db/other', target: 'i-0abc' },
    { sessionId: 'longer', reason: `${ours}-2`, target: 'i-0abc' },
    { sessionId: 'person', reason: '', target: 'i-0abc' },
    { sessionId: 'operator-0', reason: ours, target: 'i-0abc' },
    { sessionId: 'left-2', reason: ours, target: 'i-0abc' },
  );
  const session = await connect(the);
  await eventually('the leftovers are ended', () => the.fake.terminated.length >= 2);
  await works(session, database);
  assert.deepEqual(the.fake.terminated, ['left-1', 'left-2']);
  assert.ok(the.fake.calls.indexOf('list') > the.fake.calls.indexOf('start'));
  await connect(the);
  assert.equal(the.fake.count('list'), 1);
});

test('without the permission to list sessions everything works, and the log says so once', async () => {
  const lines: unknown[] = [];
  const log = { ...silentLog, info: (...line: unknown[]) => lines.push(line) } as typeof silentLog;
  const the = await setting({ log });
  the.fake.listError = new TunnelError('AccessDenied', 'lacks ssm:DescribeSessions');
  const session = await connect(the);
  await eventually('the log says so', () => lines.length > 0);
  await works(session, database);
  assert.equal(lines.length, 1);
  assert.match(JSON.stringify(lines), /not looked for/);
});
