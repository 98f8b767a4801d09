import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { type Clock, systemClock } from '../../../../../src/process/clock.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { DataChannel, type DataChannelOptions } from '../../../../../src/sidecar/drivers/ssm/data-channel.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FakeService } from './fake-service.ts';
import { silentLog } from './silent-log.ts';

const services: FakeService[] = [];
const channels: DataChannel[] = [];

afterEach(async () => {
  // The goodbye must be answered: otherwise it would wait on a clock that stands still.
  for (const one of services) one.silent = false;
  await Promise.all(channels.splice(0).map((channel) => channel.close()));
  await Promise.all(services.splice(0).map((service) => service.stop()));
});

async function service(): Promise<FakeService> {
  const one = await new FakeService().start();
  services.push(one);
  return one;
}

interface Opened {
  readonly channel: DataChannel;
  readonly budget: ByteBudget;
  readonly changes: () => number;
}

async function open(
  fake: FakeService,
  { clock = systemClock, ...more }: { clock?: Clock } & Partial<DataChannelOptions> = {},
): Promise<Opened> {
  const budget = new ByteBudget();
  let changes = 0;
  const channel = await DataChannel.open(
    {
      api: fake,
      ticket: await fake.startSession(),
      policy: { region: 'eu-west-1', allowed: [fake.origin.replace('ws:', 'http:')] },
      endpoint: '',
      clock,
      log: silentLog,
      remoteHost: false,
      target: 'i-0abc',
      destination: 'db:5432',
      proxy: {},
      largePayloads: true,
      watchIdle: true,
      budget,
      onChange: () => {
        changes += 1;
      },
      ...more,
    },
    new AbortController().signal,
  );
  channels.push(channel);
  return { channel, budget, changes: () => changes };
}

/** Sends bytes over a new stream and returns as many from the answer. */
async function echo(channel: DataChannel, bytes: Buffer): Promise<Buffer> {
  const stream = channel.multiplexer.open();
  const got: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      got.push(chunk);
      length += chunk.length;
      if (length >= bytes.length) resolve();
    });
    stream.on('error', reject);
    stream.on('end', () => reject(new Error('ended early')));
  });
  stream.write(bytes);
  await all;
  stream.destroy();
  return Buffer.concat(got);
}

function codeOf(error: unknown): string {
  return error instanceof TunnelError ? error.code : String(error);
}

async function refusal(fake: FakeService, more: Partial<DataChannelOptions> = {}): Promise<string> {
  const outcome = await open(fake, more).then(
    () => 'open',
    (error: unknown) => codeOf(error),
  );
  assert.equal(fake.calls.at(-1), 'terminate', 'the started session was left behind');
  return outcome;
}

test('a channel opens, carries bytes both ways and closes with a goodbye', async () => {
  const fake = await service();
  const { channel, budget } = await open(fake);
  assert.equal(channel.agent.version, '3.3.987.0');
  assert.equal(fake.upgrades[0]?.authorization, 'signed');
  const bytes = randomBytes(100_000);
  assert.ok((await echo(channel, bytes)).equals(bytes));
  assert.equal(fake.agent.largestInput, 1_024);
  await channel.close();
  assert.deepEqual(fake.agent.flags, [2]);
  assert.equal(codeOf(channel.signal.reason), 'NotConnected');
  await eventually('the service sees its socket closed', () => fake.sockets === 0);
  assert.equal(budget.used, 0);
});

test('an agent that is known to accept them gets messages of 16 KiB', async () => {
  const fake = await service();
  fake.agentVersion = '3.3.3572.0';
  const { channel } = await open(fake);
  await echo(channel, randomBytes(200_000));
  assert.equal(fake.agent.largestInput, 16_384);
});

test('loss and duplication of 5 % each way change no byte', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  fake.loss = 0.05;
  fake.doubled = 0.05;
  const bytes = randomBytes(60_000);
  assert.ok((await echo(channel, bytes)).equals(bytes));
  fake.loss = 0;
});

test('the hourly close and a cut are resumed under an open stream, with sequence numbers going on', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  const got: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => got.push(chunk));
  const sent: Buffer[] = [];
  for (let round = 0; round < 6; round += 1) {
    const bytes = randomBytes(3_000);
    sent.push(bytes);
    stream.write(bytes);
    if (round % 2 === 0) fake.agent.bye();
    else fake.agent.cut();
    while (Buffer.concat(got).length < 3_000 * (round + 1)) await once(stream, 'data');
  }
  assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)));
  assert.equal(fake.count('resume'), 6);
  assert.equal(fake.agent.handshakeAnswers.length, 1);
  assert.deepEqual(
    [...new Set(fake.agent.inputSequences)].sort((a, b) => a - b),
    [...Array(Math.max(...fake.agent.inputSequences) + 1).keys()],
  );
  assert.equal(fake.sockets, 1);
});

test('the socket that follows a broken attempt is kept, and the only one', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  fake.brokenUpgrades = 1;
  fake.agent.cut();
  stream.write('ping');
  assert.equal(String((await once(stream, 'data'))[0]), 'ping');
  assert.equal(fake.count('resume'), 2, 'one for each attempt');
  assert.equal(fake.sockets, 1);
  await channel.close();
  await eventually('the service sees its socket closed', () => fake.sockets === 0);
});

test('a channel whose session has ended at the service ends with its streams, after its signal', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  let abortedBefore: boolean | undefined;
  stream.on('error', () => {
    abortedBefore = channel.signal.aborted;
  });
  fake.sessionGone = true;
  fake.agent.cut();
  await once(stream, 'error');
  assert.equal(abortedBefore, true);
  assert.equal(stream.readableEnded, false);
  assert.equal(codeOf(channel.signal.reason), 'BastionLost');
});

test('a resume that is denied ends the channel with its own reason; one that fails is tried again', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  fake.resumeError = new TunnelError('Throttled', 'slow down');
  const renewed = channel.renewSocket();
  while (fake.count('resume') < 2) await delay(20);
  fake.resumeError = undefined;
  await renewed;
  assert.ok((await echo(channel, Buffer.from('x'))).equals(Buffer.from('x')));
  fake.resumeError = new TunnelError('ResumeDenied', 'no');
  await assert.rejects(channel.renewSocket(), (error) => codeOf(error) === 'ResumeDenied');
  assert.equal(channel.signal.aborted, true);
});

test('the service’s message that the channel is closed ends it, and nothing is terminated twice', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  fake.agent.closeChannel('\n----------ERROR-------\nForwarding to IP address 127.0.0.1 is forbidden');
  await once(channel.signal, 'abort');
  assert.equal(codeOf(channel.signal.reason), 'SessionRefused');
  await channel.close();
  assert.deepEqual(fake.calls, ['start']);
});

test('a channel that ends at the moment of its proof is never taken for an open one', async () => {
  const fake = await service();
  fake.endsAfterNop = true;
  await assert.rejects(open(fake), (error) => codeOf(error) === 'BastionLost');
});

test('bytes that wait for an acknowledgement count against the pod’s budget and hold new ones back', async () => {
  const fake = await service();
  fake.agentVersion = '3.3.3572.0';
  const { channel, budget } = await open(fake);
  const stream = channel.multiplexer.open();
  await echo(channel, Buffer.from('x'));
  fake.silent = true;
  budget.take(budget.total - 100_000);
  stream.write(randomBytes(1024 * 1024));
  await eventually('the budget is used up', () => budget.free === 0);
  await delay(300);
  assert.ok(budget.used <= budget.total + 20_000, `${budget.used - budget.total} bytes over`);
  fake.silent = false;
  budget.giveBack(budget.total - 100_000);
  let got = 0;
  stream.on('data', (chunk: Buffer) => {
    got += chunk.length;
  });
  await eventually('all is echoed', () => got === 1024 * 1024);
  await eventually('all is acknowledged', () => budget.used === 0);
  fake.silent = true;
  stream.write(randomBytes(10_000));
  await eventually('something is outstanding', () => budget.used > 10_000);
  fake.agent.closeChannel('');
  await eventually('it is given back', () => budget.used === 0);
});

test('KMS, an old agent for another host, a shell session and an address that is not allowed are refused with their reasons', async () => {
  const kms = await service();
  kms.actions = [{ ActionType: 'KMSEncryption', ActionParameters: {} }];
  assert.equal(await refusal(kms), 'EncryptionDemanded');
  const old = await service();
  old.agentVersion = '3.1.1000.0';
  assert.equal(await refusal(old, { remoteHost: true }), 'AgentTooOld');
  const shell = await service();
  shell.actions = [];
  assert.equal(await refusal(shell), 'SessionRefused');
  const foreign = await service();
  assert.equal(await refusal(foreign, { policy: { region: 'eu-west-1', allowed: [] } }), 'EndpointNotAllowed');
  assert.equal(foreign.upgrades.length, 0);
});

test('an attempt that is aborted leaves no socket and no session behind', async () => {
  const fake = await service();
  fake.silent = true;
  const stop = new AbortController();
  const ticket = await fake.startSession();
  const opening = DataChannel.open(
    {
      api: fake,
      ticket,
      policy: { region: 'eu-west-1', allowed: [fake.origin.replace('ws:', 'http:')] },
      endpoint: '',
      clock: systemClock,
      log: silentLog,
      remoteHost: false,
      target: 'i-0abc',
      destination: 'db:5432',
      proxy: {},
      largePayloads: true,
      watchIdle: true,
      budget: new ByteBudget(),
      onChange: () => undefined,
    },
    stop.signal,
  );
  while (fake.upgrades.length === 0) await delay(5);
  stop.abort(new Error('not wanted'));
  await assert.rejects(opening, /not wanted/);
  assert.deepEqual(fake.calls, ['start', 'terminate']);
  while (fake.sockets > 0) await delay(5);
});

test('an agent that speaks no smux takes one connection, with raw bytes', async () => {
  const fake = await service();
  fake.agentVersion = '3.0.100.0';
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  fake.agent.say(Buffer.from('hello'));
  const [greeting] = (await once(stream, 'data')) as [Buffer];
  assert.equal(greeting.toString(), 'hello');
  stream.destroy();
  while (fake.agent.flags.length === 0) await delay(5);
  assert.deepEqual(fake.agent.flags, [1]);
  assert.equal(channel.multiplexer.hasRoom, false);
});

test('a refusal of the agent fails the stream and leaves the channel usable', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  fake.agent.sendFlag(3);
  fake.agent.say(Buffer.from([1, 1, 0, 0, 3, 0, 0, 0]));
  const [error] = (await once(stream, 'error')) as [unknown];
  assert.equal(codeOf(error), 'DestinationUnreachable');
  assert.equal((await echo(channel, Buffer.from('next'))).toString(), 'next');
});

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

test('a reader that stops holds its stream back and loses nothing', async () => {
  const fake = await service();
  const { channel, budget } = await open(fake);
  const stream = channel.multiplexer.open();
  const bytes = randomBytes(3 * 1024 * 1024);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 32_000) {
    const piece = bytes.subarray(at, at + 32_000);
    frames.push(Buffer.from([1, 2, piece.length % 256, piece.length >> 8, 3, 0, 0, 0]), piece);
  }
  fake.agent.say(Buffer.concat(frames));
  while (channel.multiplexer.hasRoom) await delay(5);
  assert.ok(budget.used < 1.2 * 1024 * 1024, `${budget.used} bytes`);
  const got: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      got.push(chunk);
      length += chunk.length;
      if (length === bytes.length) resolve();
    });
  });
  await all;
  assert.ok(Buffer.concat(got).equals(bytes));
  stream.destroy();
  while (budget.used > 0) await delay(5);
});
