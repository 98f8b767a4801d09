// What is done about a silent tunnel, second by second.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Ladder } from '../../../../../src/sidecar/drivers/fly/ladder.ts';

/** The steps by the second in which they come due; a tick each second from `from` to `to`. */
function climbed(ladder: Ladder, from: number, to: number): Record<number, readonly string[]> {
  const steps: Record<number, readonly string[]> = {};
  for (let second = from; second <= to; second++) {
    const due = ladder.tick(second * 1000);
    if (due.length > 0) steps[second] = due;
  }
  return steps;
}

suite('the ladder', () => {
  test('climbs by silence, each step once, with an echo every 3 s', () => {
    const ladder = new Ladder(0, 1_000);
    assert.deepEqual(climbed(ladder, 1, 5), { 3: ['echo'] });
    assert.equal(ladder.suspect, false);
    assert.deepEqual(climbed(ladder, 6, 11), {
      6: ['echo', 'handshake'],
      8: ['repair'],
      9: ['echo'],
      10: ['otherTransport'],
    });
    assert.equal(ladder.suspect, true);
    assert.equal(ladder.replaceable, false);
    assert.deepEqual(climbed(ladder, 12, 27), {
      12: ['echo', 'replace'],
      15: ['echo'],
      18: ['echo'],
      21: ['echo'],
      24: ['echo'],
      27: ['echo'],
    });
    assert.equal(ladder.replaceable, true);
    assert.deepEqual(climbed(ladder, 28, 31), { 30: ['echo', 'dead'] });
  });

  test('begins anew as soon as something is heard', () => {
    const ladder = new Ladder(0, 1_000);
    climbed(ladder, 1, 13);
    ladder.heard(13_500);
    assert.equal(ladder.suspect, false);
    assert.equal(ladder.replaceable, false);
    assert.equal(ladder.silentMs(14_000), 500);
    assert.deepEqual(climbed(ladder, 14, 19), { 17: ['echo'] });
    assert.deepEqual(ladder.tick(20_000), ['echo', 'handshake']);
  });

  test('an old packet is no sign of life', () => {
    const ladder = new Ladder(10_000, 1_000);
    ladder.heard(9_000);
    assert.equal(ladder.silentMs(10_000), 0);
    assert.equal(ladder.silentMs(12_000), 2_000);
  });

  test('a stall of our own is not taken for silence of the gateway', () => {
    const ladder = new Ladder(0, 1_000);
    assert.deepEqual(climbed(ladder, 1, 2), {});
    assert.deepEqual(ladder.tick(60_000), []);
    assert.equal(ladder.suspect, false);
    assert.deepEqual(climbed(ladder, 61, 66), { 63: ['echo'], 66: ['echo', 'handshake'] });
  });

  test('after a stall the silence counts on from the step that was reached', () => {
    const ladder = new Ladder(0, 1_000);
    climbed(ladder, 1, 8);
    const [first] = Object.entries(climbed(ladder, 60, 70)).filter(([, steps]) => steps.includes('otherTransport'));
    assert.equal(first?.[0], '62');
  });
});
