import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartPace } from '../../../../../../src/sidecar/drivers/ssm/aws/start-pace.ts';
import { FakeClock } from '../../../../../support/fake-clock.ts';

const { signal } = new AbortController();

/** When each of `count` starts on the way may begin, asked for at once, in seconds. */
async function times(clock: FakeClock, pace: StartPace, ways: readonly string[], spaced = true): Promise<number[]> {
  const at: number[] = [];
  const turns = ways.map(async (way) => {
    await pace.turn(way, spaced, signal);
    at.push(Math.round(clock.now() / 1_000));
  });
  for (let second = 0; second < 400 && at.length < ways.length; second += 1) await clock.advance(1_000);
  await Promise.all(turns);
  return at;
}

test('starts for one destination are 5 s apart, times the sessions; others do not wait for it', async () => {
  const clock = new FakeClock();
  const from = Math.round(clock.now() / 1_000);
  const relative = (at: readonly number[]): number[] => at.map((second) => second - from);
  const pace = new StartPace({ clock, sessions: 2 });
  assert.deepEqual(relative(await times(clock, pace, ['a', 'a', 'a', 'b', 'a', 'a'])), [0, 0, 0, 5, 5, 10]);
});

test('a used-up session’s successor does not wait 5 s, but counts for the pod: 64 in the first minute, then 24 a minute', async () => {
  const clock = new FakeClock();
  const from = Math.round(clock.now() / 1_000);
  const pace = new StartPace({ clock, sessions: 1 });
  const at = (
    await times(
      clock,
      pace,
      Array.from({ length: 100 }, () => 'a'),
      false,
    )
  ).map((second) => second - from);
  const within = (low: number, high: number): number => at.filter((second) => second >= low && second < high).length;
  assert.equal(within(0, 59), 64);
  assert.equal(within(59, 118), 24);
  assert.equal(within(118, 178), 12);
});

test('one that gives up takes no turn', async () => {
  const clock = new FakeClock();
  const pace = new StartPace({ clock, sessions: 1 });
  await pace.turn('a', true, signal);
  const gone = new AbortController();
  const given = assert.rejects(pace.turn('a', true, gone.signal), /gone/);
  gone.abort(new Error('gone'));
  await given;
  await clock.advance(5_000);
  await pace.turn('a', true, signal);
});

test('a start that is due begins at once, at whatever fraction of a millisecond', async () => {
  for (let step = 0; step < 10_000; step += 1) {
    const now = step * 0.700_03;
    const after = (ms: number): never => assert.fail(`at ${now} a start that is due waits ${ms} ms`);
    const clock = { now: () => now, date: () => new Date(), after };
    const pace = new StartPace({ clock, sessions: 1 });
    await pace.turn('a', true, signal);
    await pace.turn('b', false, signal);
  }
});
