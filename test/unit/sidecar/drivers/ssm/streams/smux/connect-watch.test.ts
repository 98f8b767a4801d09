import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { settle } from '../../../../../../support/fake-clock.ts';
import { finish, pair } from './agent-side.ts';
import { codeOf, reader } from './reader.ts';

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
