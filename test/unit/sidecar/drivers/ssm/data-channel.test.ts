import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import { codeOf, echo, open, service } from './channel-world.ts';

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

test('a node that takes them gets messages of 16 KiB, whatever the version of its agent, as long as it may', async () => {
  const fake = await service();
  fake.agentVersion = '3.1.1374.0';
  let large = false;
  const { channel } = await open(fake, { largePayloads: () => large });
  await echo(channel, randomBytes(20_000));
  assert.equal(fake.agent.largestInput, 1_024);
  large = true;
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

test('bytes that wait for an acknowledgement count against the pod’s budget and hold new ones back', async () => {
  const fake = await service();
  const { channel, budget } = await open(fake, { largePayloads: () => true });
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
