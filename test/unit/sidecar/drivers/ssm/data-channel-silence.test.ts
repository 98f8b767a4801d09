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

test('a silent agent is suspect and resumed after 8 s, and ended as long again after its node has answered elsewhere', async () => {
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
  await eventually('it is resumed', () => fake.count('resume') === 1);
  channel.nodeAnswered();
  await pass(clock, 7_000);
  assert.equal(channel.signal.aborted, false);
  await pass(clock, 5_500);
  assert.equal(codeOf(channel.signal.reason), 'BastionLost');
  assert.equal(stream.destroyed, true);
});

test('a silent agent whose node answers nowhere is waited for: a cut of a minute on its side costs no connection', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  stream.write('before');
  await once(stream, 'data');
  // Before the suspicion it shows nothing: the cut may have come later.
  channel.nodeAnswered();
  fake.silent = true;
  await pass(clock, 5_000);
  channel.nodeAnswered();
  await pass(clock, 55_000);
  assert.equal(channel.suspect, true);
  assert.equal(channel.signal.aborted, false);
  fake.silent = false;
  for (let tries = 0; channel.suspect && tries < 20; tries += 1) await pass(clock, 500);
  assert.equal(channel.suspect, false);
  const echoed = once(stream, 'data');
  stream.write('after');
  await pass(clock, 1_000);
  assert.equal(String((await echoed)[0]), 'after');
});

test('an agent that comes back after its node has answered elsewhere has as long again as it was silent', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  stream.write('before');
  await once(stream, 'data');
  fake.silent = true;
  await pass(clock, 30_000);
  channel.nodeAnswered();
  await pass(clock, 20_000);
  assert.equal(channel.signal.aborted, false);
  fake.silent = false;
  for (let tries = 0; channel.suspect && tries < 20; tries += 1) await pass(clock, 500);
  assert.equal(channel.suspect, false);
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

test('while the agent repeats what was lost, slowly, new streams go elsewhere, and the open ones get every byte', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel, budget, changes } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  let got = '';
  stream.on('data', (bytes: Buffer) => {
    got += String(bytes);
  });
  const frame = 8;
  let held = 0;
  /** The agent has acknowledged, and so many bytes more of it wait for the gap. */
  const waits = async (bytes: number): Promise<void> => {
    held += bytes;
    await eventually('its answer waits', () => budget.used === held);
  };
  stream.write('a');
  await eventually('it is carried', () => got === 'a');
  fake.agent.repeats = false;
  fake.silent = true;
  fake.agent.say(Buffer.from([1, 3, 0, 0, 0, 0, 0, 0]));
  fake.silent = false;
  stream.write('b');
  await waits(frame + 1);
  await pass(clock, 2_500);
  stream.write('c');
  await waits(frame + 1);
  assert.equal(channel.suspect, false);
  const asked = channel.multiplexer.open();
  assert.equal(await channel.multiplexer.opened(asked), true);
  asked.destroy();
  await waits(frame);
  const before = changes();
  await pass(clock, 6_000);
  stream.write('d');
  await waits(frame + 1);
  assert.equal(channel.suspect, true);
  assert.ok(changes() > before);
  assert.equal(channel.connectHangs, false, 'what the agent has answered waits here');
  assert.equal(got, 'a');
  fake.agent.repeats = true;
  await eventually('every byte is here', () => got === 'abcd');
  assert.equal(channel.suspect, false);
  assert.equal(fake.count('resume'), 0);
});

test('an idle channel that nobody watches sends nothing', async () => {
  const fake = await service();
  const clock = new FakeClock();
  await open(fake, { clock, watchIdle: false });
  const before = fake.agent.inputSequences.length;
  await pass(clock, 20_000);
  assert.equal(fake.agent.inputSequences.length, before);
});

test('an agent that goes on sending but acknowledges nothing is suspect after 8 s, outlives the resume, and is ended after 75 s', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  stream.write('x');
  await once(stream, 'data');
  stream.on('error', () => undefined).resume();
  fake.agent.takesNothing = true;
  const talk = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 2_000) {
      fake.agent.say(Buffer.from([1, 3, 0, 0, 0, 0, 0, 0]));
      await pass(clock, 2_000);
    }
  };
  await talk(14_000);
  assert.equal(channel.suspect, true);
  assert.equal(fake.count('resume'), 1);
  await talk(54_000);
  assert.equal(channel.signal.aborted, false, 'an agent that speaks has 75 s');
  await talk(14_000);
  assert.equal(codeOf(channel.signal.reason), 'BastionLost');
});

test('an acknowledgement that was lost with its socket does not end the session of an agent that never repeats one', async () => {
  const fake = await service();
  fake.agentVersion = '3.1.1374.0';
  fake.acknowledgesOnce = true;
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const stream = channel.multiplexer.open();
  stream.write('before');
  await once(stream, 'data');
  fake.agent.losesAcknowledgements = true;
  stream.write('lost');
  await once(stream, 'data');
  fake.agent.losesAcknowledgements = false;
  await channel.renewSocket();
  await pass(clock, 100_000);
  assert.equal(channel.signal.aborted, false);
  assert.equal(channel.suspect, false);
  stream.write('after');
  assert.equal(String((await once(stream, 'data'))[0]), 'after');
  // What its agent has is repeated no more.
  const before = fake.agent.inputSequences.length;
  await pass(clock, 3_000);
  assert.ok(fake.agent.inputSequences.length - before <= 3, String(fake.agent.inputSequences.slice(before)));
});

test('an opening that cannot leave for 2 s sends new streams elsewhere', async () => {
  const fake = await service();
  const clock = new FakeClock();
  const { channel } = await open(fake, { clock });
  const blocked = channel.multiplexer.open();
  blocked.on('error', () => undefined);
  assert.equal(await channel.multiplexer.opened(blocked), true);
  fake.agent.takesNothing = true;
  // More than the window.
  blocked.write(Buffer.alloc(3 * 1024 * 1024));
  await pass(clock, 1_000);
  const next = channel.multiplexer.open();
  const left = channel.multiplexer.opened(next);
  await pass(clock, 1_500);
  assert.equal(channel.suspect, false);
  await pass(clock, 1_000);
  assert.equal(await left, false);
  assert.equal(channel.suspect, true);
  fake.agent.takesNothing = false;
  await pass(clock, 4_000);
  await eventually('it takes streams again', async () => {
    await pass(clock, 500);
    return !channel.suspect;
  });
});
