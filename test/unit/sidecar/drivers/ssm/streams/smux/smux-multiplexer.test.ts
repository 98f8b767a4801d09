import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Duplex, Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../../../../src/contract/errors.ts';
import { settle } from '../../../../../../support/fake-clock.ts';
import { naiveFrames } from '../../naive-codec.ts';
import { finish, pair, push } from './agent-side.ts';

/** What a reader gets: its bytes, and how it ended. */
function reader(stream: Duplex): {
  readonly bytes: () => Buffer;
  end: boolean;
  error: Error | undefined;
  closed: boolean;
} {
  const chunks: Buffer[] = [];
  const state = {
    bytes: () => Buffer.concat(chunks),
    end: false,
    error: undefined as Error | undefined,
    closed: false,
  };
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    state.end = true;
  });
  stream.on('error', (error) => {
    state.error = error;
  });
  stream.on('close', () => {
    state.closed = true;
  });
  return state;
}

function codeOf(error: Error | undefined): string | undefined {
  return error instanceof TunnelError ? error.code : error?.message;
}

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
        assert.ok(agent.messages.every((length) => length > 0 && length <= payloadBytes));
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

test('a client that reads nothing is reset after 10 s; the others of its channel only waited', async () => {
  const { agent, multiplexer } = pair();
  const slow = multiplexer.open();
  const slowSeen = { error: undefined as Error | undefined };
  slow.on('error', (error) => {
    slowSeen.error = error;
  });
  const other = reader(multiplexer.open());
  await agent.take(multiplexer);
  for (let sent = 0; agent.reading; sent += 32_768) {
    multiplexer.receive(push(3, randomBytes(32_768)));
    assert.ok(sent < 2 * 1024 * 1024, 'reading was never paused');
  }
  assert.ok(agent.budget.used <= 1024 * 1024 + 32_768);
  await agent.clock.advance(9_900);
  assert.equal(slowSeen.error, undefined);
  assert.equal(multiplexer.hasRoom, false);
  await agent.clock.advance(200);
  assert.equal(codeOf(slowSeen.error), 'ConnectionLimit');
  assert.equal(agent.reading, true);
  assert.equal(multiplexer.hasRoom, true);
  assert.equal(agent.budget.used, 0);
  multiplexer.receive(push(5, Buffer.from('on we go')));
  await settle();
  assert.equal(other.bytes().toString(), 'on we go');
  assert.equal(agent.pauses, 1);
});

test('a client that read nothing during another’s pause gets none of its own: it is reset once it is full', async () => {
  const { agent, multiplexer } = pair();
  const [first, second, late] = [multiplexer.open(), multiplexer.open(), multiplexer.open()];
  await agent.take(multiplexer);
  multiplexer.receive(push(5, randomBytes(100_000)));
  while (agent.reading) multiplexer.receive(push(3, randomBytes(32_768)));
  await agent.clock.advance(10_100);
  assert.deepEqual([first.destroyed, second.destroyed], [true, false]);
  for (let sent = 0; !second.destroyed; sent += 32_768) {
    multiplexer.receive(push(5, randomBytes(32_768)));
    assert.ok(sent < 2 * 1024 * 1024, 'it was never reset');
  }
  assert.equal(codeOf(second.errored ?? undefined), 'ConnectionLimit');
  assert.equal(agent.pauses, 1);
  assert.equal(agent.reading, true);
  // A client that had nothing to read in that pause gets a pause of its own.
  while (agent.reading) multiplexer.receive(push(7, randomBytes(32_768)));
  assert.equal(late.destroyed, false);
  assert.equal(agent.pauses, 2);
});

test('a slow client alone on its channel is never reset; once another joins, it is reset 10 s later', async () => {
  const { agent, multiplexer } = pair();
  const slow = multiplexer.open();
  await agent.take(multiplexer);
  while (agent.reading) multiplexer.receive(push(3, randomBytes(32_768)));
  await agent.clock.advance(60_000);
  assert.equal(slow.destroyed, false);
  assert.equal(multiplexer.hasRoom, false);
  multiplexer.open();
  await agent.clock.advance(9_900);
  assert.equal(slow.destroyed, false);
  await agent.clock.advance(200);
  assert.equal(slow.destroyed, true);
  assert.equal(agent.reading, true);
});

test('a slow client that reads again loses nothing, and reading goes on', async () => {
  const { agent, multiplexer } = pair();
  const slow = multiplexer.open();
  await agent.take(multiplexer);
  const sent: Buffer[] = [];
  while (agent.reading) {
    const bytes = randomBytes(32_768);
    sent.push(bytes);
    multiplexer.receive(push(3, bytes));
  }
  await agent.clock.advance(5_000);
  const seen = reader(slow);
  while (!agent.reading || agent.budget.used > 0) await settle();
  multiplexer.receive(finish(3));
  await settle();
  assert.ok(seen.bytes().equals(Buffer.concat(sent)));
  assert.equal(seen.end, true);
});

test('while the pod’s byte budget is used up, 64 KiB are enough to pause', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open();
  await agent.take(multiplexer);
  agent.budget.take(agent.budget.total);
  multiplexer.receive(push(3, randomBytes(60_000)));
  assert.equal(agent.reading, true);
  multiplexer.receive(push(3, randomBytes(10_000)));
  assert.equal(agent.reading, false);
});

test('an agent that never answers the end of a stream hangs while it connects: no new streams until it answers', async () => {
  const { agent, multiplexer } = pair();
  const probe = multiplexer.open();
  const waiting = multiplexer.open();
  await agent.take(multiplexer);
  await agent.clock.advance(3_000);
  probe.destroy();
  await agent.take(multiplexer);
  await agent.clock.advance(1_900);
  assert.equal(multiplexer.connectHangs, false);
  await agent.clock.advance(200);
  assert.equal(multiplexer.connectHangs, true);
  assert.equal(multiplexer.hasRoom, false);
  assert.equal(waiting.destroyed, false);
  multiplexer.receive(finish(3));
  await settle();
  assert.equal(multiplexer.connectHangs, false);
  assert.equal(multiplexer.hasRoom, true);
});

test('while all clients only wait, the agent is asked; if it answers, it does not hang', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open().write('are you there');
  await agent.take(multiplexer);
  await agent.clock.advance(4_900);
  assert.equal(multiplexer.pending, false);
  await agent.clock.advance(200);
  assert.deepEqual(await agent.take(multiplexer), [
    { command: 0, stream: 5, data: '' },
    { command: 1, stream: 5, data: '' },
  ]);
  multiplexer.receive(finish(5));
  await agent.clock.advance(60_000);
  assert.equal(multiplexer.connectHangs, false);
  assert.equal(multiplexer.pending, false, 'the stream is known to be connected: it may be silent as long as it likes');
});

test('an agent that does not answer the question hangs, until it answers', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open().write('are you there');
  await agent.take(multiplexer);
  await agent.clock.advance(5_000);
  await agent.take(multiplexer);
  await agent.clock.advance(4_900);
  assert.equal(multiplexer.connectHangs, false);
  await agent.clock.advance(200);
  assert.equal(multiplexer.connectHangs, true);
  multiplexer.receive(finish(5));
  assert.equal(multiplexer.connectHangs, false);
});

test('silent destinations are asked at most every 15 s', async () => {
  const { agent, multiplexer } = pair();
  let questions = 0;
  for (let second = 0; second < 60; second += 1) {
    multiplexer.open().write('a message that nobody answers');
    for (const { command, stream } of await agent.take(multiplexer)) {
      if (command !== 1) continue;
      questions += 1;
      multiplexer.receive(finish(stream));
    }
    await agent.clock.advance(1_000);
  }
  assert.ok(questions >= 3 && questions <= 4, `${questions} questions`);
  assert.equal(multiplexer.connectHangs, false);
});

test('a refusal of a stream that we have ended is not taken for that of the next', async () => {
  const { agent, multiplexer } = pair();
  multiplexer.open().destroy();
  const probe = multiplexer.open();
  probe.write('x');
  await agent.take(multiplexer);
  probe.destroy();
  const next = multiplexer.open();
  next.write('y');
  await agent.take(multiplexer);
  multiplexer.connectFailed();
  multiplexer.receive(finish(probe.id));
  multiplexer.receive(finish(next.id));
  next.resume();
  await once(next, 'end');
});

test('everything that arrived while this process slept is read before the agent is said to hang', async () => {
  const { agent, multiplexer } = pair();
  const stream = multiplexer.open();
  await agent.take(multiplexer);
  await agent.clock.advance(5_500);
  stream.destroy();
  await agent.take(multiplexer);
  agent.clock.oversleep(1_300);
  multiplexer.receive(finish(3));
  assert.equal(multiplexer.connectHangs, false);
  await settle();
  assert.equal(agent.changes, 1, 'only the end of the stream is news');
});

test('after a long sleep of this process the silence of agent and destination is counted anew', async () => {
  const { agent, multiplexer } = pair();
  const ended = multiplexer.open();
  const finished = reader(multiplexer.open().end('question'));
  await agent.take(multiplexer);
  ended.destroy();
  await agent.take(multiplexer);
  agent.clock.oversleep(20_000);
  await settle();
  assert.equal(multiplexer.connectHangs, false);
  assert.equal(finished.error, undefined);
  await agent.clock.advance(1_900);
  assert.equal(finished.error, undefined);
  await agent.clock.advance(200);
  assert.equal(codeOf(finished.error), 'DestinationTimeout');
  await agent.clock.advance(3_000);
  assert.equal(multiplexer.connectHangs, true);
});

test('a client that could not read because this process slept is not reset', async () => {
  const { agent, multiplexer } = pair();
  const [slow] = [multiplexer.open(), multiplexer.open()];
  await agent.take(multiplexer);
  while (agent.reading) multiplexer.receive(push(3, randomBytes(32_768)));
  agent.clock.oversleep(12_000);
  await settle();
  assert.equal(slow.destroyed, false);
  slow.resume();
  await settle();
  assert.equal(agent.reading, true);
  while (agent.reading) {
    slow.pause();
    multiplexer.receive(push(3, randomBytes(32_768)));
  }
  await agent.clock.advance(10_100);
  assert.equal(slow.destroyed, true);
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
