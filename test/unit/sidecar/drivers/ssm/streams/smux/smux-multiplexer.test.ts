import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../../../../src/contract/errors.ts';
import { assertEvery } from '../../../../../../support/assert-every.ts';
import { settle } from '../../../../../../support/fake-clock.ts';
import { naiveFrames } from '../../naive-codec.ts';
import { finish, pair, push } from './agent-side.ts';
import { codeOf, reader } from './reader.ts';

test('streams are 3, 5, 7, and opening and first bytes travel in one message', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open().write('hello');
  multiplexer.open();
  const frames = await agent.take(multiplexer);
  assert.deepEqual(frames, [
    { command: 0, stream: 3, data: '' },
    { command: 2, stream: 3, data: Buffer.from('hello').toString('hex') },
    { command: 0, stream: 5, data: '' },
  ]);
  assert.equal(agent.messages.length, 1);
  assert.equal(multiplexer.streams, 2);
});

test('bytes go both ways unchanged, however messages and chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 8 }),
      fc.integer({ min: 16, max: 3_000 }),
      fc.integer({ min: 1, max: 3_000 }),
      async (writes, payloadBytes, cut) => {
        const { agent, multiplexer } = pair();
        agent.payloadBytes = payloadBytes;
        const stream = multiplexer.open();
        const seen = reader(stream);
        for (const bytes of writes) stream.write(bytes);
        await agent.take(multiplexer);
        const all = Buffer.concat(writes);
        assert.ok(agent.dataOf(3).equals(all));
        assertEvery(
          agent.messages,
          (length) => length > 0 && length <= payloadBytes,
          'messages within the limit of the payload',
        );
        const answer = Buffer.concat([push(3, all), finish(3)]);
        for (let at = 0; at < answer.length; at += cut) multiplexer.receive(answer.subarray(at, at + cut));
        await settle();
        assert.ok(seen.bytes().equals(all));
        assert.deepEqual([seen.end, seen.error, seen.closed], [true, undefined, true]);
        assert.equal(multiplexer.streams, 0);
        assert.equal(agent.budget.used, 0);
        assert.equal(agent.clock.pending, 0);
      },
    ),
    { numRuns: 50 },
  );
});

test('streams take turns: a small request is not behind a large upload', async () => {
  const { multiplexer } = pair();
  multiplexer.open().write(randomBytes(200_000));
  multiplexer.open().write('ping');
  const message = Buffer.alloc(16_384);
  multiplexer.fill(message);
  assert.ok(message.includes('ping'));
});

test('a writer is held back while the channel takes nothing', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  let writes = 0;
  while (stream.write(randomBytes(16_384))) writes += 1;
  assert.ok(writes < 8);
  const drained = once(stream, 'drain');
  await agent.take(multiplexer);
  await drained;
  assert.equal(agent.dataOf(3).length, (writes + 1) * 16_384);
});

test('an upload fills its messages, even where its chunks end', async () => {
  const { agent, multiplexer } = pair();
  agent.payloadBytes = 16_384;
  const stream = multiplexer.open();
  const all = randomBytes(16 * 65_536);
  Readable.from(Array.from({ length: 16 }, (_, index) => all.subarray(index * 65_536, (index + 1) * 65_536))).pipe(
    stream,
  );
  await agent.take(multiplexer);
  assert.ok(agent.dataOf(3).equals(all));
  assert.deepEqual(
    agent.messages.slice(0, -1).filter((length) => length < 16_000),
    [],
  );
  stream.destroy();
});

test('everything a client wrote before its end is sent, however long that takes, and silence counts only after that', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  const seen = reader(stream);
  const said = randomBytes(20_000);
  stream.end(said);
  await settle();
  agent.payloadBytes = 16_384;
  const message = Buffer.alloc(agent.payloadBytes);
  agent.frames.push(...naiveFrames(message.subarray(0, multiplexer.fill(message))));
  await agent.clock.advance(60_000);
  assert.equal(stream.destroyed, false);
  await agent.take(multiplexer);
  assert.ok(agent.dataOf(3).equals(said));
  await agent.clock.advance(1_900);
  assert.equal(stream.destroyed, false);
  await agent.clock.advance(200);
  assert.equal(codeOf(seen.error), 'DestinationTimeout');
});

test('an end of the destination is a clean end after all its bytes, and ends our side too', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  await agent.take(multiplexer);
  multiplexer.receive(Buffer.concat([push(3, Buffer.from('bye')), finish(3)]));
  await settle();
  const seen = reader(stream);
  await settle();
  assert.deepEqual([seen.bytes().toString(), seen.end, seen.error, seen.closed], ['bye', true, undefined, true]);
  assert.deepEqual(await agent.take(multiplexer), [{ command: 1, stream: 3, data: '' }]);
});

test('a client’s end is passed to the agent once the destination was silent for 2 s, and is not a clean end', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  const seen = reader(stream);
  stream.end('question');
  await agent.take(multiplexer);
  await agent.clock.advance(1_500);
  multiplexer.receive(push(3, Buffer.from('answer')));
  await agent.clock.advance(1_900);
  assert.equal(seen.closed, false);
  assert.equal(agent.frames.at(-1)?.command, 2);
  await agent.clock.advance(200);
  assert.equal(codeOf(seen.error), 'DestinationTimeout');
  assert.equal(seen.end, false);
  assert.deepEqual(await agent.take(multiplexer), [{ command: 1, stream: 3, data: '' }]);
  assert.equal(agent.clock.pending, 0);
});

test('a client’s end is clean when the destination ends within its time', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  const seen = reader(stream);
  stream.end('question');
  await agent.take(multiplexer);
  multiplexer.receive(Buffer.concat([push(3, Buffer.from('answer')), finish(3)]));
  await settle();
  assert.deepEqual([seen.bytes().toString(), seen.end, seen.error, seen.closed], ['answer', true, undefined, true]);
  assert.equal(agent.clock.pending, 0);
});

test('the 2 s of silence do not run while nothing can arrive, something is unacknowledged, or something is unread', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  stream.on('error', () => undefined);
  stream.end('question');
  await agent.take(multiplexer);
  agent.inputPaused = true;
  await agent.clock.advance(10_000);
  assert.equal(stream.destroyed, false);
  agent.inputPaused = false;
  agent.inputPausedUntil = agent.clock.now();
  agent.acknowledges = false;
  await agent.clock.advance(10_000);
  assert.equal(stream.destroyed, false);
  agent.acknowledges = true;
  multiplexer.receive(push(3, Buffer.from('answer')));
  await agent.clock.advance(10_000);
  assert.equal(stream.destroyed, false);
  stream.resume();
  await agent.clock.advance(4_100);
  assert.equal(stream.destroyed, true);
});

test('a client that aborts ends the stream at the agent at once, and late bytes are discarded', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  const other = reader(multiplexer.open());
  stream.write(randomBytes(50_000));
  multiplexer.fill(Buffer.alloc(1_024));
  stream.destroy();
  const frames = await agent.take(multiplexer);
  assert.deepEqual(
    frames.filter((frame) => frame.stream === 3),
    [{ command: 1, stream: 3, data: '' }],
  );
  multiplexer.receive(Buffer.concat([push(3, Buffer.from('late')), push(5, Buffer.from('mine'))]));
  await settle();
  assert.equal(other.bytes().toString(), 'mine');
});

test('a stream that was closed before it was opened at the agent costs no frame', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open().destroy();
  assert.deepEqual(await agent.take(multiplexer), []);
  assert.equal(multiplexer.streams, 0);
});

test('flag 3 fails the first stream that then ends without a byte, before its first byte', async () => {
  const { agent, multiplexer } = pair();
  const streams = [reader(multiplexer.open()), reader(multiplexer.open()), reader(multiplexer.open())];
  await agent.take(multiplexer);
  multiplexer.receive(push(3, Buffer.from('a')));
  multiplexer.connectFailed();
  multiplexer.receive(Buffer.concat([finish(3), finish(5), finish(7)]));
  await settle();
  assert.deepEqual(
    streams.map(({ end, error }) => [end, codeOf(error)]),
    [
      [true, undefined],
      [false, 'DestinationUnreachable'],
      [true, undefined],
    ],
  );
});

test('the end of the channel destroys every stream with its error, and no stream is opened after it', async () => {
  const { agent, multiplexer } = pair();
  const streams = [reader(multiplexer.open()), reader(multiplexer.open())];
  await agent.take(multiplexer);
  multiplexer.end(new TunnelError('BastionLost', 'gone'));
  await settle();
  assert.deepEqual(
    streams.map(({ end, error, closed }) => [end, codeOf(error), closed]),
    [
      [false, 'BastionLost', true],
      [false, 'BastionLost', true],
    ],
  );
  assert.throws(() => multiplexer.open(), /gone/);
  assert.equal(multiplexer.hasRoom, false);
  assert.equal(multiplexer.pending, false);
  assert.equal(agent.clock.pending, 0);
});

test('a keep-alive frame is sent once, however often it was requested', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.nop();
  multiplexer.nop();
  assert.deepEqual(await agent.take(multiplexer), [{ command: 3, stream: 0, data: '' }]);
});

test('2,000 streams opened and closed one after the other leave nothing behind', async () => {
  const { agent, multiplexer } = pair();
  for (let round = 0; round < 2_000; round += 1) {
    const stream = multiplexer.open();
    stream.end('x');
    multiplexer.fill(Buffer.alloc(1_024));
    multiplexer.receive(Buffer.concat([push(stream.id, Buffer.from('y')), finish(stream.id)]));
    stream.resume();
    await once(stream, 'close');
  }
  await agent.take(multiplexer);
  assert.equal(multiplexer.streams, 0);
  assert.equal(multiplexer.pending, false);
  assert.equal(agent.clock.pending, 0);
  assert.equal(agent.budget.used, 0);
});
