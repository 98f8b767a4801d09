// Code that repeats without a pause must end the test that met it, by name, and not starve the runner until the file's limit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../support/fake-clock.ts';

const spinning = /used 100,000 times without time moving \(it stands at 5 ms\)/;

test('a loop in promises that never pauses is ended, and again named by advance if its error was caught', async () => {
  const clock = new FakeClock();
  await clock.advance(5);
  const loop = async (): Promise<never> => {
    for (;;) {
      clock.now();
      await Promise.resolve();
    }
  };
  await assert.rejects(loop(), spinning);
  await assert.rejects(clock.advance(1), spinning);
});

test('a timer that sets itself again for the same moment is ended', async () => {
  const clock = new FakeClock();
  await clock.advance(5);
  const again = (): void => {
    for (let i = 0; i < 50_000; i++) clock.now();
    clock.after(0, again);
  };
  again();
  await assert.rejects(clock.advance(1), spinning);
});

test('any number of uses is fine while time moves', async () => {
  const clock = new FakeClock();
  for (let step = 0; step < 3; step++) {
    for (let i = 0; i < 90_000; i++) clock.now();
    await clock.advance(1);
  }
  assert.equal(clock.now(), 3);
});
