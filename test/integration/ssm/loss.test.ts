// A relay that loses, duplicates and reorders messages: a little changes no byte, a lot never ends in a hang.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../src/contract/errors.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { dial, local, roundTrip, sha256 } from './exchange.ts';
import { SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();
const services: Service[] = [];
/** The most bytes in flight, because an echo is slower than its sender. */
const ahead = 2 * 1024 * 1024;
const calm = { LossPercent: 0, DoublePercent: 0, ReorderPercent: 0, Pace: true };
/** A transfer that does not end while messages are lost must end once none are: without progress a channel ends after 75 s, at most twice that if this process slept. */
const lossyMs = 50_000;
const calmMs = 150_000;

afterEach(async () => {
  await world.service.set(calm);
  await Promise.all(services.splice(0).map((one) => one.stop()));
  assert.equal((await world.service.seen()).complaints, null, 'the driver broke the protocol');
});

async function echoing(): Promise<Service> {
  const service = await serve(echo);
  services.push(service);
  return service;
}

test('32 MiB paced, with 0.2 % of messages lost, duplicated and reordered, change no byte', async (t) => {
  const service = await echoing();
  const session = await world.connect(world.driver([local(service)]));
  await world.service.set({ LossPercent: 0.2, DoublePercent: 0.2, ReorderPercent: 0.2 });
  const bytes = randomBytes(32 * 1024 * 1024);
  const before = performance.now();
  const answer = await roundTrip(await dial(session, local(service)), bytes, undefined, ahead);
  const seconds = (performance.now() - before) / 1_000;
  t.diagnostic(`${seconds.toFixed(1)} s`);
  assert.equal(sha256(answer), sha256(bytes));
  assert.equal((await world.service.seen()).calls['Limited'], undefined);
});

for (const [percent, size] of [
  [2, 2 * 1024 * 1024],
  [5, 1024 * 1024],
  [30, 256 * 1024],
] as const) {
  test(`${percent} % of messages lost end in all bytes or in a broken stream, never in a hang`, async (t) => {
    const service = await echoing();
    const session = await world.connect(world.driver([local(service)]));
    await world.service.set({ LossPercent: percent });
    const bytes = randomBytes(size);
    const resumed = (await world.service.seen()).calls['ResumeSession'] ?? 0;
    let heardAt = performance.now();
    let silence = 0;
    const heard = (): void => {
      silence = Math.max(silence, performance.now() - heardAt);
      heardAt = performance.now();
    };
    const before = performance.now();
    const transfer = roundTrip(await dial(session, local(service)), bytes, heard).catch((error: unknown) => error);
    let outcome = await within(lossyMs, transfer);
    const isSlow = outcome === late;
    if (isSlow) {
      await world.service.set(calm);
      outcome = await within(calmMs, transfer);
    }
    heard();
    const resumes = ((await world.service.seen()).calls['ResumeSession'] ?? 0) - resumed;
    const seconds = (performance.now() - before) / 1_000;
    const what = Buffer.isBuffer(outcome) ? 'all bytes' : String(outcome);
    t.diagnostic(
      `${what} after ${seconds.toFixed(1)} s${isSlow ? ', the last without loss' : ''}; longest silence ${silence.toFixed(0)} ms, ${resumes} resumes`,
    );
    if (Buffer.isBuffer(outcome)) assert.equal(sha256(outcome), sha256(bytes));
    else assert.ok(outcome instanceof TunnelError, `neither all bytes nor a broken stream: ${String(outcome)}`);
  });
}

const late = Symbol('too late');

async function within(ms: number, work: Promise<unknown>): Promise<unknown> {
  const over = new AbortController();
  try {
    return await Promise.race([work, delay(ms, late, { signal: over.signal }).catch(() => late)]);
  } finally {
    over.abort();
  }
}
