import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AnswerTime } from '../../../../../../src/sidecar/drivers/ssh/channels/answer-time.ts';

const mebibyte = 1024 * 1024;

/** Asks at `now` and is answered `took` later, after that many bytes. */
function ask(roundTrip: AnswerTime, now: number, took: number, bytes = 0): void {
  roundTrip.asked(now, 0);
  roundTrip.answered(now + took, bytes);
}

describe('round trip of the ssh layer', () => {
  test('is the least of several answers, not the first and not the mean', () => {
    const roundTrip = new AnswerTime();
    assert.equal(roundTrip.leastMs, undefined);
    for (const [at, took] of [70, 51, 50, 90].entries()) ask(roundTrip, at * 1000, took);
    assert.equal(roundTrip.leastMs, 50);
  });

  test('is asked for ten times at first, one after the other, and then every 10 s', () => {
    const roundTrip = new AnswerTime();
    const asked: number[] = [];
    for (let now = 0; now <= 30_000; now += 100) {
      if (!roundTrip.due(now)) continue;
      asked.push(now);
      roundTrip.asked(now, 0);
      assert.ok(!roundTrip.due(now + 60_000), 'no second question while one is unanswered');
      roundTrip.answered(now + 50, 0);
    }
    assert.deepEqual(asked, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 10_900, 20_900]);
  });

  test('of a way that becomes longer is known after two minutes, of one that becomes shorter at once', () => {
    const roundTrip = new AnswerTime();
    ask(roundTrip, 0, 5);
    for (let now = 10_000; now <= 140_000; now += 10_000) ask(roundTrip, now, 50);
    assert.equal(roundTrip.leastMs, 50);
    ask(roundTrip, 150_000, 5);
    assert.equal(roundTrip.leastMs, 5);
  });

  test('is not that of our own queue: answers behind bulk data never lengthen it', () => {
    const roundTrip = new AnswerTime();
    ask(roundTrip, 0, 1);
    for (let now = 10_000; now <= 600_000; now += 10_000) ask(roundTrip, now, 40, mebibyte);
    assert.equal(roundTrip.leastMs, 1);
    ask(roundTrip, 610_000, 0.5, mebibyte);
    assert.equal(roundTrip.leastMs, 0.5, 'but a shorter one counts');
  });

  test('answers that nobody asked for count for nothing', () => {
    const roundTrip = new AnswerTime();
    roundTrip.answered(5, 0);
    assert.equal(roundTrip.leastMs, undefined);
  });
});
