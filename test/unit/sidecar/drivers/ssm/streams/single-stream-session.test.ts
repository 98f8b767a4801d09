import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flag } from '../../../../../../src/sidecar/drivers/ssm/channel/payload.ts';
import { SingleSession } from '../../../../../../src/sidecar/drivers/ssm/streams/single-stream-session.ts';
import { settle } from '../../../../../support/fake-clock.ts';
import { AgentSide } from './smux/agent-side.ts';

test('one connection’s bytes are the session’s bytes, also those that came before the client', async () => {
  const agent = new AgentSide();
  const session = new SingleSession(agent.options);
  session.receive(Buffer.from('welcome '));
  const stream = session.open();
  const seen: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => seen.push(chunk));
  session.receive(Buffer.from('stranger'));
  stream.write('thanks');
  await settle();
  const message = Buffer.alloc(100);
  assert.equal(message.toString('utf8', 0, session.fill(message)), 'thanks');
  assert.equal(Buffer.concat(seen).toString(), 'welcome stranger');
  assert.equal(agent.budget.used, 0);
});

test('a session is spent with its first connection: late bytes of one must never reach another', async () => {
  const agent = new AgentSide();
  const session = new SingleSession(agent.options);
  assert.equal(session.hasRoom, true);
  session.open().destroy();
  await settle();
  assert.deepEqual(agent.flags, [flag.disconnectToPort]);
  assert.equal(session.hasRoom, false);
  assert.equal(session.streams, 0);
  assert.throws(() => session.open(), /too old for more than one connection/);
  session.receive(Buffer.from('late'));
  assert.equal(agent.budget.used, 0);
});

test('the end of the session destroys the connection with its error and sends nothing', async () => {
  const agent = new AgentSide();
  const session = new SingleSession(agent.options);
  const stream = session.open();
  let error: Error | undefined;
  stream.on('error', (one) => {
    error = one;
  });
  session.end(new Error('gone'));
  await settle();
  assert.equal(error?.message, 'gone');
  assert.deepEqual(agent.flags, []);
});
