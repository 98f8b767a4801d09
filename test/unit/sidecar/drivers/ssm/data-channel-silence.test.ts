import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { codeOf, open, service } from './channel-world.ts';

/** Lets real messages travel between steps of the virtual clock. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await clock.advance(500);
    await delay(2);
  }
}

test('a silent agent is suspect after 8 s, resumed after 25 s and ended after 75 s, though the service answers', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel, changes } = await open(fake, { clock });
  await pass(clock, 30_000);
  assert.equal(channel.suspect, false);
  const stream = channel.multiplexer.open();
  fake.silent = true;
  const before = changes();
  // The last sign of life was up to 4 s ago.
  await pass(clock, 3_500);
  assert.equal(channel.suspect, false);
  await pass(clock, 5_000);
  assert.equal(channel.suspect, true);
  assert.ok(changes() > before);
  assert.equal(fake.count('resume'), 0);
  await pass(clock, 17_000);
  assert.equal(fake.count('resume'), 1);
  await pass(clock, 45_000);
  assert.equal(channel.signal.aborted, false);
  await pass(clock, 5_500);
  assert.equal(codeOf(channel.signal.reason), 'BastionLost');
  assert.equal(stream.destroyed, true);
});

test('a process that sleeps for minutes does not blame the silence on the service or the agent', async () => {
  const clock = new FakeClock();
  const fake = await service();
  const { channel } = await open(fake, { clock });
  for (let times = 0; times < 3; times += 1) {
    clock.oversleep(100_000);
    await delay(20);
  }
  assert.equal(channel.suspect, false);
  assert.equal(fake.count('resume'), 0);
});

test('an agent that reconnects for 10 s keeps its streams', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  stream.write('before');
  await once(stream, 'data');
  fake.silent = true;
  stream.write('after');
  await pass(clock, 10_000);
  assert.equal(channel.suspect, true);
  fake.silent = false;
  const answer = once(stream, 'data');
  await pass(clock, 3_500);
  assert.equal(String((await answer)[0]), 'after');
  await eventually('it is judged anew', () => !channel.suspect);
});

test('an idle channel that nobody watches sends nothing', async () => {
  const fake = await service();
  const clock = new FakeClock();
  await open(fake, { clock, watchIdle: false });
  const before = fake.agent.inputSequences.length;
  await pass(clock, 20_000);
  assert.equal(fake.agent.inputSequences.length, before);
});
