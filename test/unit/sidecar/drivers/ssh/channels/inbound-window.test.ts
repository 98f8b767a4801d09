import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteBudget } from '../../../../../../src/sidecar/base/byte-budget.ts';
import {
  InboundWindow,
  maxWindowBytes,
  minWindowBytes,
  nearWindowBytes,
  windowFor,
} from '../../../../../../src/sidecar/drivers/ssh/channels/inbound-window.ts';

const packet = 32 * 1024;

function windowOver(budget: ByteBudget, now = 0, roundTripMs: number | undefined = 50): InboundWindow {
  return new InboundWindow(budget, now, () => roundTripMs);
}

/** A reader that keeps up takes that many packets, ten in a millisecond. */
function carry(window: InboundWindow, packets: number): void {
  for (let at = 0; at < packets; at += 1) {
    const bytes = Math.min(packet, window.granted);
    assert.ok(window.received(bytes));
    window.consumed(bytes, at / 10);
  }
}

describe('inbound window', () => {
  test('grows to 8 MiB for a reader that keeps up, and no further', () => {
    const budget = new ByteBudget();
    const window = windowOver(budget);
    let sent = 0;
    for (let now = 0; sent < 256 * 1024 * 1024; now += 0.1) {
      assert.ok(window.received(packet));
      window.consumed(packet, now);
      sent += packet;
    }
    assert.ok(window.granted > maxWindowBytes * 0.85, `${window.granted}`);
    assert.ok(window.granted <= maxWindowBytes);
  });

  test('is what the way needs as soon as the first 128 KiB are used up, not by doubling', () => {
    for (const [roundTripMs, needed] of [
      [0.3, nearWindowBytes],
      [20, 6_400_000],
      [50, maxWindowBytes],
    ] as const) {
      const window = windowOver(new ByteBudget(), 0, roundTripMs);
      carry(window, 4);
      assert.ok(window.granted > needed * 0.89 && window.granted <= needed, `${roundTripMs} ms: ${window.granted}`);
    }
  });

  test('grows to 512 KiB near by, and no further', () => {
    const window = windowOver(new ByteBudget(), 0, 0.3);
    carry(window, 20_000);
    assert.ok(window.granted > nearWindowBytes * 0.85 && window.granted <= nearWindowBytes, `${window.granted}`);
  });

  test('follows a round trip that is measured again', () => {
    let roundTripMs: number | undefined;
    const window = new InboundWindow(new ByteBudget(), 0, () => roundTripMs);
    for (const [ms, needed] of [
      [undefined, 2 * 1024 * 1024],
      [50, maxWindowBytes],
      [0.3, nearWindowBytes],
    ] as const) {
      roundTripMs = ms;
      carry(window, 1_000);
      assert.ok(window.granted > needed * 0.75 && window.granted <= needed, `${ms} ms: ${window.granted}`);
    }
  });

  test('doubles step by step once much of the budget is taken, so that one burst does not take what is left', () => {
    const budget = new ByteBudget();
    budget.take(budget.total / 2);
    const window = windowOver(budget);
    const first = window.granted;
    carry(window, Math.ceil(first / packet));
    assert.ok(window.granted <= 2 * first, `${window.granted}`);
  });

  test('the window of a way: twice what is on it at 160 MB/s, from 512 KiB to 8 MiB', () => {
    assert.deepEqual([0, 1, 10, 20, 50, 500].map(windowFor), [
      nearWindowBytes,
      nearWindowBytes,
      3_200_000,
      6_400_000,
      maxWindowBytes,
      maxWindowBytes,
    ]);
  });

  test('stays small for a trickle, however long', () => {
    const window = windowOver(new ByteBudget());
    const first = window.granted;
    for (let now = 0; now < 1_000_000; now += 1000) {
      window.received(10_000);
      window.consumed(10_000, now);
    }
    assert.ok(window.granted <= first);
  });

  test('is topped up at a quarter while it is small, neither sooner nor at a half', () => {
    const window = windowOver(new ByteBudget());
    const first = window.granted;
    window.received(first / 4);
    assert.equal(window.consumed(first / 8, 10_000), 0);
    assert.equal(window.consumed(first / 8, 10_000), first / 4);
  });

  test('a reader that stops holds no more than its window', () => {
    const window = windowOver(new ByteBudget());
    const first = window.granted;
    assert.ok(window.received(first));
    assert.equal(window.received(1), false, 'one byte more is an overrun');
  });

  test('a thousand stalled readers stay within the budget', () => {
    const budget = new ByteBudget();
    const windows = Array.from({ length: 1000 }, () => windowOver(budget));
    for (const window of windows) window.received(window.granted);
    assert.ok(budget.used <= budget.total, `${budget.used}`);
    for (const window of windows) window.release();
    assert.equal(budget.used, 0);
  });

  test('busy streams share: earlier ones give way to later ones', () => {
    const budget = new ByteBudget();
    const windows: InboundWindow[] = [];
    let now = 0;
    const carry = (window: InboundWindow): void => {
      now += 0.01;
      const bytes = Math.min(packet, window.granted);
      window.received(bytes);
      window.consumed(bytes, now);
    };
    for (let count = 0; count < 24; count++) {
      const window = windowOver(budget, now);
      windows.push(window);
      for (let at = 0; at < 1000; at++) carry(window);
    }
    for (let at = 0; at < 2000; at++) windows.forEach(carry);
    assert.ok(budget.used <= budget.total);
    for (const window of windows) assert.ok(window.granted >= 256 * 1024, `${window.granted}`);
  });

  test('whatever is received and consumed: never more than granted, never stuck, everything given back', () => {
    const step = fc.record({
      receive: fc.integer({ min: 0, max: 200_000 }),
      consume: fc.integer({ min: 0, max: 200_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 64 }), (steps, mebibytes) => {
        const budget = new ByteBudget(mebibytes * 1024 * 1024);
        const window = windowOver(budget);
        let buffered = 0;
        let now = 0;
        for (const { receive, consume } of steps) {
          now += 1;
          const bytes = Math.min(receive, window.granted);
          assert.ok(window.received(bytes));
          buffered += bytes;
          const taken = Math.min(consume, buffered);
          buffered -= taken;
          if (taken > 0) window.consumed(taken, now);
          assert.equal(budget.used, window.granted + buffered);
          if (buffered === 0 && taken > 0) assert.ok(window.granted >= minWindowBytes / 2, 'the far side may go on');
        }
        window.release();
        window.release();
        assert.equal(budget.used, 0);
      }),
    );
  });
});
