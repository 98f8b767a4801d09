import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { settle } from '../../../../../../support/fake-clock.ts';
import { finish, pair, push } from './agent-side.ts';
import { codeOf, reader } from './reader.ts';

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

test('the one piece that a stream of Node keeps counts as unread: a client that stopped before it gets no pause of its own', async () => {
  const { agent, multiplexer } = pair();
  const [first, second] = [multiplexer.open(), multiplexer.open()];
  multiplexer.open();
  await agent.take(multiplexer);
  second.resume();
  multiplexer.receive(push(5, Buffer.from('read')));
  await settle();
  second.pause();
  multiplexer.receive(push(5, Buffer.from('unread')));
  assert.equal(second.readableLength, 6);
  while (agent.reading) multiplexer.receive(push(3, randomBytes(32_768)));
  await agent.clock.advance(10_100);
  assert.deepEqual([first.destroyed, second.destroyed], [true, false]);
  for (let sent = 0; !second.destroyed && agent.reading; sent += 32_768) {
    multiplexer.receive(push(5, randomBytes(32_768)));
    assert.ok(sent < 2 * 1024 * 1024, 'it was never reset');
  }
  assert.equal(codeOf(second.errored ?? undefined), 'ConnectionLimit');
  assert.equal(agent.pauses, 1);
});

test('a client that reads again after it was held up by others counts as one that reads', async () => {
  const { agent, multiplexer } = pair();
  const [first, second] = [multiplexer.open(), multiplexer.open()];
  multiplexer.open();
  await agent.take(multiplexer);
  multiplexer.receive(push(5, Buffer.from('unread')));
  while (agent.reading) multiplexer.receive(push(3, randomBytes(32_768)));
  await agent.clock.advance(10_100);
  assert.equal(first.destroyed, true);
  second.resume();
  await settle();
  second.pause();
  while (agent.reading) multiplexer.receive(push(5, randomBytes(32_768)));
  assert.equal(second.destroyed, false);
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
