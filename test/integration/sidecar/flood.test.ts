// A bastion that floods its session without reading fills no memory of the pod (docs/promises.md, promise 10), and the healthy second
// bastion gets its turn.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../../../lab/process/child.ts';
import { type Service, echo as sendBack, serve } from '../../driver-suite/destinations.ts';
import { assertResident } from '../../support/resident-memory.ts';
import { hopTo } from '../ssh/ssh-world.ts';
import { startPod } from './pod.ts';
import { type Bastion, startBastion, tunnelConfig } from './sidecar-world.ts';

const limitMiB = 160;
/** Promise 4; a busy machine gets three times as much. */
const carriedWithinMs = 10_000;

let healthy: Bastion;
let echo: Service;
/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  healthy = started.adopt(await startBastion(), async (it) => await it.stop());
  echo = started.adopt(await serve(sendBack), async (it) => await it.stop());
});

/** True if a connection through the pod is answered. */
async function isCarried(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  socket.write('x');
  // `once` fails with an error of the socket: the session that carried it was ended.
  const answered = await Promise.race([
    once(socket, 'data').then(
      () => true,
      () => false,
    ),
    delay(1000, false),
  ]);
  socket.destroy();
  return answered;
}

for (const kind of ['CHANNEL_OPEN', 'GLOBAL_REQUEST', 'CHANNEL_REQUEST', 'unknown', 'extendedData']) {
  test(`a flood of ${kind} ends the session, and the next bastion carries`, { timeout: 120_000 }, async (t) => {
    const program = new URL('../ssh/flooding-bastion.ts', import.meta.url).pathname;
    const flooding = new Child('flooding bastion', process.execPath, [program, kind]);
    t.after(() => flooding.kill());
    const port = Number(/(\d+)$/.exec(await flooding.line(/listening on \d+/))?.[1]);
    const bastions = [hopTo({ host: '127.0.0.1', port }, healthy.secret), healthy.hop];
    const config = tunnelConfig(bastions, {
      forwards: [{ port: echo.port }],
      connection: { drainTimeoutSeconds: 0 },
      ssh: { hostKeyPolicy: 'InsecureIgnore' },
    });
    const pod = await startPod(config);
    t.after(() => pod.child.stop());
    const began = performance.now();
    let peak = 0;
    while (!(await isCarried(pod.ports[0] ?? 0))) {
      await delay(20);
      peak = Math.max(peak, pod.memory());
      assert.ok(
        performance.now() - began < 3 * carriedWithinMs,
        `nothing was carried: ${JSON.stringify(await pod.readiness())}`,
      );
    }
    const carriedAfter = performance.now() - began;
    for (const end = performance.now() + 3000; performance.now() < end; await delay(100))
      peak = Math.max(peak, pod.memory());
    t.diagnostic(`carried after ${carriedAfter.toFixed(0)} ms, at most ${peak.toFixed(0)} MiB resident`);
    assertResident(t, peak < limitMiB, `${peak} MiB`);
  });
}
