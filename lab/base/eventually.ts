// Waits for what gives no event: other processes, the kernel, the cluster. Where there is an event, await that.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until `holds`, first at once, then every 10 ms. Resolves with the milliseconds that took. @throws AssertionError naming `what` after `withinMs`. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 30_000,
): Promise<number> {
  const began = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - began < withinMs, `${what}: not within ${withinMs} ms`);
    await sleep(10);
  }
  return performance.now() - began;
}
