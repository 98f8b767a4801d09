import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { takeReads } from '../../../../src/sidecar/clients/client-reads.ts';

async function accepted(): Promise<{ readonly client: Socket; readonly served: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [served] = await connection;
  server.close();
  return { client, served };
}

test('this Node lets the reads of an accepted socket be taken, and its end is still an end', async () => {
  const { client, served } = await accepted();
  client.end('question');
  let text = '';
  assert.equal(
    takeReads(served, (bytes) => (text += bytes.toString())),
    true,
    'Node has no such fields any more: uploads over ssh cost a half more CPU time',
  );
  served.resume();
  await once(served, 'end');
  assert.equal(text, 'question');
  served.end();
  await once(client.resume(), 'close');
});

test('while the socket is paused, nothing is read', async () => {
  const { client, served } = await accepted();
  let text = '';
  takeReads(served, (bytes) => {
    text += bytes.toString();
    if (text === 'one') served.pause();
  });
  served.resume();
  client.write('one');
  await new Promise((resolve) => {
    const look = (): unknown => (text === 'one' ? resolve(undefined) : setImmediate(look));
    look();
  });
  client.end('two');
  await once(client, 'finish');
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(text, 'one');
  served.resume();
  await once(served, 'end');
  assert.equal(text, 'onetwo');
  served.destroy();
  client.destroy();
});

test('a socket that was read already keeps its own reads', async () => {
  const { client, served } = await accepted();
  client.write('early');
  await once(served.resume(), 'data');
  assert.equal(
    takeReads(served, () => undefined),
    false,
  );
  served.destroy();
  client.destroy();
});
