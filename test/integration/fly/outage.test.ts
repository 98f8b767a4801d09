// A transfer goes on after an outage of its way. gVisor's TCP, which sends an upload, trickled with 4 KB/s for minutes (decision 18).
// Neighbours: bare-device.ts (the helper alone), recovery.test.ts (what the tunnel above it does).
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { flood, serve } from '../../driver-suite/destinations.ts';
import { bareDevice } from './bare-device.ts';

const mebibyte = 1024 ** 2;
/** A round trip of 60 ms: then some 4 MiB are on their way, and lost. */
const way = { delayMs: 30 };
const before = 16 * mebibyte;
const after = 4 * mebibyte;
const outageMs = 1_000;
/** The promise is 3 s. The trickle carried 4 MiB in minutes. */
const limitMs = 9_000;

/** Counts bytes, and knows when so many have come. */
class Arrivals {
  count = 0;
  #wanted = 0;
  #come: () => void = () => undefined;

  readonly add = (bytes: Buffer): void => {
    this.count += bytes.length;
    if (this.count >= this.#wanted) this.#come();
  };

  async more(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wanted = this.count + bytes;
    this.#come = resolve;
    await promise;
  }
}

suite('after an outage of a second, within 3 s', { concurrency: true }, () => {
  for (const direction of ['up', 'down'] as const) {
    test(`a transfer ${direction} carries again`, async (t) => {
      const arrivals = new Arrivals();
      const service = await serve(direction === 'down' ? flood : (socket) => void socket.on('data', arrivals.add));
      t.after(async () => await service.stop());
      const device = await bareDevice(t, way, { withoutRack: true });
      const stream = await device.dial(service.port);
      t.after(() => stream.destroy());
      if (direction === 'down') stream.on('data', arrivals.add);
      else flood(stream);
      await arrivals.more(before);
      await device.outage(outageMs);
      const begun = performance.now();
      const carried = arrivals.more(after);
      await Promise.race([carried, delay(limitMs, undefined, { ref: false, signal: t.signal })]);
      const took = Math.round(performance.now() - begun);
      t.diagnostic(`${after / mebibyte} MiB ${direction} in the ${took} ms after the outage`);
      assert.ok(took < limitMs, `${took} ms`);
    });
  }
});
