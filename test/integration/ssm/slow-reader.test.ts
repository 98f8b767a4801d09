// A client that does not read: streams share one channel without windows, so it holds up all of its session, but only for 10 s.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { Session } from '../../../src/sidecar/base/driver.ts';
import { type Service, serve } from '../../driver-suite/destinations.ts';
import { watchLoop } from '../../support/watch-loop.ts';
import { client, openSidecar, ssmTunnelConfig, untilConnected } from '../sidecar/sidecar-world.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { asked, dial, floodOrEcho, local } from './exchange.ts';
import { SsmWorld } from './ssm-world.ts';

/** How long one pause lasts. */
const patienceMs = 10_000;
/** 10.5 s is the budget and is printed. A busy machine may add something, but not a second pause, which would make 20 s. */
const onePauseMs = 18_000;
const world = await SsmWorld.start();
const services: Service[] = [];

afterEach(async () => {
  await Promise.all(services.splice(0).map((one) => one.stop()));
  assert.equal((await world.service.seen()).complaints, null, 'the driver broke the protocol');
});

async function flooded(): Promise<{ readonly session: Session; readonly service: Service }> {
  await world.service.set({ Pace: false });
  const service = await serve(floodOrEcho);
  services.push(service);
  return { service, session: await world.connect(world.driver([local(service)])) };
}

/** A client that has stopped reading while bytes wait for it. */
async function slowReader(session: Session, service: Service): Promise<Duplex> {
  const stream = await dial(session, local(service));
  stream.write('piece');
  await once(stream, 'data');
  stream.pause();
  stream.write('piece');
  await eventually('bytes wait', () => stream.readableLength > 0);
  return stream;
}

interface Echoes {
  /** The longest wait of a question for its answer, in milliseconds. */
  worst(): number;
  stop(): Promise<void>;
}

/** Asks again and again over its own stream. */
async function echoes(session: Session, service: Service): Promise<Echoes> {
  const stream = await dial(session, local(service));
  const stop = new AbortController();
  let worst = 0;
  const loop = (async () => {
    for (let question = 0; !stop.signal.aborted; question += 1) {
      const before = performance.now();
      assert.equal(await asked(stream, `question ${question}`), `question ${question}`);
      worst = Math.max(worst, performance.now() - before);
      await delay(50);
    }
  })();
  return {
    worst: () => worst,
    async stop() {
      stop.abort();
      await loop;
    },
  };
}

/** When the stream was reset, which must be because it did not read. */
async function resetAt(stream: Duplex): Promise<number> {
  if (stream.errored === null) await once(stream, 'error');
  const { errored } = stream;
  assert.ok(errored instanceof TunnelError && errored.code === 'ConnectionLimit', String(errored));
  return performance.now();
}

test('a client that reads nothing for 10 s is reset, and the worst stall of the others is 10.5 s', async (t) => {
  const { session, service } = await flooded();
  const others = await echoes(session, service);
  const slow = await slowReader(session, service);
  using loop = watchLoop();
  const since = performance.now();
  slow.write('flood');
  const after = (await resetAt(slow)) - since;
  await delay(500);
  await others.stop();
  t.diagnostic(`reset after ${after.toFixed(0)} ms, worst stall ${others.worst().toFixed(0)} ms`);
  assert.ok(after >= 10_000, `reset after ${after} ms`);
  assert.ok(others.worst() > 9_000, 'nothing was held up: the brake is not what this test saw');
  assert.ok(loop.overslept || Math.max(after, others.worst()) < onePauseMs, 'it had a second pause');
  assert.equal(session.streams, 1);
  await eventually('the destination of the slow one is let go', () => service.connections.size === 1);
});

test('several clients that read nothing share one pause', async (t) => {
  const { session, service } = await flooded();
  const others = await echoes(session, service);
  const slow = await Promise.all(Array.from({ length: 3 }, () => slowReader(session, service)));
  using loop = watchLoop();
  const since = performance.now();
  for (const stream of slow) stream.write('flood');
  const times = await Promise.all(slow.map(async (stream) => (await resetAt(stream)) - since));
  await delay(500);
  await others.stop();
  t.diagnostic(
    `resets after ${times.map((ms) => ms.toFixed(0)).join(', ')} ms, worst stall ${others.worst().toFixed(0)} ms`,
  );
  // Not from the beginning: how long a flood takes to fill a stream is the machine's.
  const apart = Math.max(...times) - Math.min(...times);
  assert.ok(loop.overslept || apart < patienceMs, 'each had a pause of its own');
  assert.equal(session.streams, 1);
});

test('a slow client alone on its session is waited for, and new connections take another session', async () => {
  await world.service.set({ Pace: false });
  const service = await serve(floodOrEcho);
  services.push(service);
  const { accessKeyId, secretAccessKey } = world.service.credentials;
  using secret = new SecretDirectory({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
  const sidecar = await openSidecar(ssmTunnelConfig(world.service, secret, { forwards: [{ port: service.port }] }));
  try {
    await untilConnected(sidecar);
    const slow = await client(sidecar);
    slow.write('flood');
    await once(slow, 'data');
    slow.pause();
    const { calls: before } = await world.service.seen();
    // The kernel's buffers fill first, then the stream's.
    const [far] = service.connections;
    assert.ok(far !== undefined);
    let [written, still] = [-1, 0];
    await eventually('nothing more is taken', () => {
      // Counts observations, not time: a process that slept has observed nothing.
      still = written === far.bytesWritten ? still + 1 : 0;
      written = far.bytesWritten;
      return still >= 100;
    });
    const asking = performance.now();
    const other = await client(sidecar);
    assert.equal(await asked(other, 'a new connection'), 'a new connection');
    assert.ok(performance.now() - asking < 9_000, 'the new connection waited for the slow one');
    assert.ok(((await world.service.seen()).calls['StartSession'] ?? 0) > (before['StartSession'] ?? 0));
    await delay(10_000);
    assert.equal(slow.destroyed, false);
    assert.equal(await asked(other, 'still here'), 'still here');
    // It reads again, and gets everything that was kept for it.
    slow.resume();
    await once(slow, 'data');
    slow.destroy();
    other.destroy();
  } finally {
    await sidecar.stop();
  }
});
