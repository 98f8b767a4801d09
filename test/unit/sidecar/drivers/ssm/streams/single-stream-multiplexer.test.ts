import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flag } from '../../../../../../src/sidecar/drivers/ssm/channel/payload.ts';
import { SingleStreamMultiplexer } from '../../../../../../src/sidecar/drivers/ssm/streams/single-stream-multiplexer.ts';
import { settle } from '../../../../../support/fake-clock.ts';
import { AgentSide } from './smux/agent-side.ts';

test('the channel’s bytes are the stream’s bytes, including those that came before the client', async () => {
  const agent = new AgentSide();
  const multiplexer = new SingleStreamMultiplexer(agent.options);
  multiplexer.receive(Buffer.from('welcome '));
  const stream = multiplexer.open();
  const seen: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => seen.push(chunk));
  multiplexer.receive(Buffer.from('stranger'));
  stream.write('thanks');
  await settle();
  const message = Buffer.alloc(100);
  assert.equal(message.toString('utf8', 0, multiplexer.fill(message)), 'thanks');
  assert.equal(Buffer.concat(seen).toString(), 'welcome stranger');
  assert.equal(agent.budget.used, 0);
});

test('the first stream exhausts the channel: late bytes of one must never reach another', async () => {
  const agent = new AgentSide();
  const multiplexer = new SingleStreamMultiplexer(agent.options);
  assert.equal(multiplexer.hasRoom, true);
  multiplexer.open().destroy();
  await settle();
  assert.deepEqual(agent.flags, [flag.disconnectToPort]);
  assert.equal(multiplexer.hasRoom, false);
  assert.equal(multiplexer.streams, 0);
  assert.throws(() => multiplexer.open(), /too old for more than one connection/);
  multiplexer.receive(Buffer.from('late'));
  assert.equal(agent.budget.used, 0);
});

test('the end of the channel destroys the stream with its error and sends nothing', async () => {
  const agent = new AgentSide();
  const multiplexer = new SingleStreamMultiplexer(agent.options);
  const stream = multiplexer.open();
  let error: Error | undefined;
  stream.on('error', (one) => {
    error = one;
  });
  multiplexer.end(new Error('gone'));
  await settle();
  assert.equal(error?.message, 'gone');
  assert.deepEqual(agent.flags, []);
});
