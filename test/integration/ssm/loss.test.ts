// A relay that loses, doubles and reorders messages: a little of it changes no byte, a lot of it never ends in a hang.
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
const calm = { LossPercent: 0, DoublePercent: 0, ReorderPercent: 0, Pace: true };
/** Without any progress the session is resumed after 25 s and ended after 75 s. */
const RESUME_MS = 25_000;

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

test('32 MiB paced, with 0.2 % of messages lost, doubled and reordered, change no byte', async (t) => {
  const service = await echoing();
  const session = await world.connect(world.driver([local(service)]));
  await world.service.set({ LossPercent: 0.2, DoublePercent: 0.2, ReorderPercent: 0.2 });
  const bytes = randomBytes(32 * 1024 * 1024);
  const before = performance.now();
  const answer = await roundTrip(await dial(session, local(service)), bytes);
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
  test(`${percent} % of messages lost end in all bytes, in a resume or in a broken stream, never in a hang`, async (t) => {
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
    const over = new AbortController();
    const outcome = await Promise.race([
      roundTrip(await dial(session, local(service)), bytes, heard).catch((error: unknown) => error),
      delay(50_000, 'slow' as const, { signal: over.signal }).catch(() => 'slow' as const),
    ]);
    over.abort();
    heard();
    const resumes = ((await world.service.seen()).calls['ResumeSession'] ?? 0) - resumed;
    const seconds = (performance.now() - before) / 1_000;
    const what = Buffer.isBuffer(outcome) ? 'all bytes' : String(outcome);
    t.diagnostic(`${what} after ${seconds.toFixed(1)} s, longest silence ${silence.toFixed(0)} ms, ${resumes} resumes`);
    if (Buffer.isBuffer(outcome)) assert.equal(sha256(outcome), sha256(bytes));
    else assert.ok(outcome === 'slow' || outcome instanceof TunnelError, String(outcome));
    assert.ok(silence < RESUME_MS || resumes > 0, 'silent for longer than a session may be without a resume');
  });
}
