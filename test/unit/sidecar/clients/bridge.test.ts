// One client on a real socket, one destination in memory: what each side sees of the other's endings, and what is held in between.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { kernelRow } from '../../../../src/sidecar/base/kernel-table.ts';
import { reset } from '../../../../src/sidecar/base/reset.ts';
import { type BridgeResult, bridge } from '../../../../src/sidecar/clients/bridge.ts';

interface Bridged extends AsyncDisposable {
  /** The client's own end. */
  readonly client: Socket;
  /** The bridge's socket to the client. */
  readonly served: Socket;
  /** The destination's own end. */
  readonly far: Duplex;
  /** The stream that the bridge holds. */
  readonly near: Duplex;
  readonly session: AbortController;
  readonly result: Promise<BridgeResult>;
  readonly budget: ByteBudget;
}

async function bridged(budget = new ByteBudget(), before?: (client: Socket, near: Duplex) => void): Promise<Bridged> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  await once(client, 'connect');
  client.on('error', () => undefined);
  const [near, far] = duplexPair();
  far.on('error', () => undefined);
  near.on('error', () => undefined);
  before?.(client, near);
  const [socket] = await accepted;
  const session = new AbortController();
  const result = bridge(socket, near, session.signal, { budget, traffic: { toDestination: 0, toClient: 0 } });
  return {
    client,
    served: socket,
    far,
    near,
    session,
    result,
    budget,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      far.destroy();
      near.destroy();
      await result;
      server.close();
      assert.equal(budget.used, 0, 'bytes are still counted');
    },
  };
}

async function read(stream: Duplex): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += String(chunk);
  });
  return await new Promise((resolve) => {
    stream.once('end', () => resolve(text));
    stream.once('error', (error: NodeJS.ErrnoException) => resolve(`${text}!${error.code ?? error.message}`));
  });
}

test('bytes go both ways, and both ends are passed on', async () => {
  await using b = await bridged();
  b.client.end('question');
  assert.equal(await read(b.far), 'question');
  b.far.end('answer');
  assert.equal(await read(b.client), 'answer');
  assert.deepEqual(await b.result, { bytesToDestination: 8, bytesToClient: 6 });
});

test('what the client sent before the bridge is carried', async () => {
  await using b = await bridged(undefined, (client) => client.write('early '));
  b.client.end('late');
  assert.equal(await read(b.far), 'early late');
  b.far.end();
});

test('a destination that ends first still hears the client', async () => {
  await using b = await bridged();
  b.far.end('bye');
  assert.equal(await read(b.client), 'bye');
  b.client.end('and thanks');
  assert.equal(await read(b.far), 'and thanks');
  assert.equal((await b.result).brokenBy, undefined);
});

test('a stream that breaks, is closed without an end, or loses its session gives the client a reset', async () => {
  const breaks: readonly (readonly [string, (b: Bridged) => void])[] = [
    ['destination', (b) => b.near.destroy(new TunnelError('BastionLost', 'lost'))],
    ['destination', (b) => b.near.destroy()],
    ['session', (b) => b.session.abort(new TunnelError('BastionLost', 'lost'))],
  ];
  for (const [by, breakIt] of breaks) {
    await using b = await bridged();
    b.far.write('half an ans');
    await once(b.client, 'data');
    breakIt(b);
    assert.match(await read(b.client), /!ECONNRESET$/);
    assert.equal((await b.result).brokenBy, by);
  }
});

test('a session that is lost before its streams end is a reset, although the end follows at once', async () => {
  await using b = await bridged();
  b.far.write('half');
  await once(b.client, 'data');
  b.session.abort(new TunnelError('BastionLost', 'lost'));
  b.far.end();
  assert.match(await read(b.client), /!ECONNRESET$/);
});

test('a break after the destination’s end, while the client still sends, is a reset', async () => {
  for (let i = 0; i < 20; i++) {
    await using b = await bridged();
    b.far.end('done');
    // At every stage of the shutdown that libuv does by itself.
    for (let turns = 0; turns < i % 5; turns++) await turn();
    b.session.abort(new TunnelError('BastionLost', 'lost'));
    await b.result;
    assert.equal((await b.result).brokenBy, 'session');
  }
});

test('a client that breaks off ends the stream', async () => {
  await using b = await bridged();
  b.client.write('x');
  await once(b.far, 'data');
  const closed = once(b.near, 'close');
  b.client.resetAndDestroy();
  await closed;
  assert.equal((await b.result).brokenBy, 'client');
});

test('a client that closes while the destination sends ends the stream', async () => {
  await using b = await bridged();
  const feed = (): boolean => b.far.write(Buffer.alloc(65_536));
  b.far.on('drain', feed);
  feed();
  await once(b.client, 'data');
  b.client.destroy();
  assert.equal((await b.result).brokenBy, 'client');
});

test('a session that was lost, or a stream that broke, before the bridge began is a reset', async () => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  for (const kind of ['session', 'stream'] as const) {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const heard = read(client);
    const [socket] = await accepted;
    const [near] = duplexPair();
    near.on('error', () => undefined);
    const session = new AbortController();
    if (kind === 'session') session.abort(new Error('lost'));
    else near.destroy(new Error('broken'));
    await turn();
    await bridge(socket, near, session.signal, {
      budget: new ByteBudget(),
      traffic: { toDestination: 0, toClient: 0 },
    });
    assert.equal(await heard, '!ECONNRESET');
  }
  server.close();
});

test('a destination that has closed both ways lets the client read its last bytes', async () => {
  await using b = await bridged();
  b.client.write('x');
  await once(b.far, 'data');
  b.far.end('the last');
  const text = read(b.client);
  await once(b.near, 'end');
  // A driver without half-close: its stream is closed although the client has not ended.
  b.near.destroy();
  b.client.write('y'.repeat(100_000));
  assert.equal(await text, 'the last');
  b.client.end();
  assert.equal((await b.result).brokenBy, undefined);
});

/** The destination has ended after 500,000 bytes, of which the client reads none for now. */
async function answerSlowClient(b: Awaited<ReturnType<typeof bridged>>): Promise<void> {
  b.client.write('x');
  await once(b.far, 'data');
  b.client.pause();
  b.far.end('y'.repeat(500_000));
  await once(b.near, 'end');
}

test('a slow client of a destination that has closed both ways gets all of it, however long it takes', async (t) => {
  await using b = await bridged();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lingers = async (): Promise<void> => {
    t.mock.timers.tick(30_000);
    // The bridge reads the kernel's table before.
    await kernelRow(b.served);
    await turn();
  };
  await answerSlowClient(b);
  b.near.destroy();
  await finished(b.served, { readable: false });
  for (let times = 0; times < 3; times++) {
    await lingers();
    assert.equal(b.served.destroyed, false, `the answer was thrown away after ${times + 1} × 30 s`);
  }
  const text = read(b.client);
  b.client.resume();
  assert.equal((await text).length, 500_000);
  // Its kernel acknowledges the last bytes a little later.
  while ((await kernelRow(b.served))?.unacknowledged !== 0) await turn();
  await lingers();
  assert.equal(b.served.destroyed, true, 'a client that has all and does not end is not waited for forever');
  assert.equal((await b.result).brokenBy, undefined);
});

test('a whole answer is not reset when its session ends after it, with the last of its streams', async () => {
  await using b = await bridged();
  await answerSlowClient(b);
  // A driver without half-close; its session was replaced and ends with the stream.
  b.near.destroy();
  await once(b.near, 'close');
  b.session.abort(new TunnelError('NotConnected', 'closed by the tunnel'));
  await turn();
  const text = read(b.client);
  b.client.resume();
  assert.equal((await text).length, 500_000);
  b.client.end();
  assert.equal((await b.result).brokenBy, undefined);
});

test('a slow client holds back the destination after a bounded number of bytes, counted while they wait', async () => {
  await using b = await bridged();
  b.client.pause();
  const chunk = Buffer.alloc(65_536, 1);
  let taken = 0;
  let isStopped = false;
  const feed = (): void => {
    taken += chunk.length;
    if (!isStopped) b.far.write(chunk, feed);
  };
  b.far.write(chunk, feed);
  let before = -1;
  // Until a while has passed in which nothing more was taken.
  while (before !== taken) {
    before = taken;
    for (let i = 0; i < 50; i++) await turn();
  }
  assert(b.budget.used > 0 && b.budget.used < 1_000_000, `${b.budget.used} bytes are counted`);
  assert(taken < 20_000_000, `${taken} bytes were taken; what is not counted is in the kernel`);
  isStopped = true;
  const received = read(b.client);
  b.client.resume();
  b.far.end();
  assert.equal((await received).length, taken);
});

test('when the pod’s bytes are used up each connection waits for each of its chunks, and none is lost', async () => {
  const budget = new ByteBudget(0);
  await using b = await bridged(budget);
  const sent = 'x'.repeat(3_000_000);
  b.far.end(sent);
  assert.equal(await read(b.client), sent);
  b.client.end(sent);
  assert.equal(await read(b.far), sent);
  assert.equal((await b.result).brokenBy, undefined);
});

test('resetting a closed socket does nothing', async () => {
  const server = createServer((socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.resume();
  await once(client, 'close');
  reset(client);
  server.close();
});

test('a refusal before the first byte leaves the client as if nothing had been read from it', async () => {
  await using b = await bridged();
  const refusal = new TunnelError('DestinationUnreachable', 'the agent could not connect');
  b.client.write('hello ');
  b.client.write('there');
  assert.match(String((await once(b.far, 'data'))[0]), /^hello/);
  b.near.destroy(refusal);
  const result = await b.result;
  assert.equal(result.refusal, refusal);
  assert.equal(b.budget.used, 0);
  let text = '';
  const { served } = b;
  served.on('data', (chunk: Buffer) => {
    text += String(chunk);
    if (text === 'hello there') served.end('refused');
  });
  served.resume();
  assert.equal(await read(b.client), 'refused');
  assert.equal(text, 'hello there');
});

test('a refusal that came before the bridge leaves the client unread', async () => {
  const refusal = new TunnelError('DestinationUnreachable', 'the agent could not connect');
  await using b = await bridged(new ByteBudget(), (client, near) => {
    client.write('hello');
    near.destroy(refusal);
  });
  assert.equal((await b.result).refusal, refusal);
  assert.equal(b.served.isPaused(), true, 'what it sends is lost before anyone listens');
  const first = once(b.served, 'data');
  b.served.resume();
  assert.equal(String((await first)[0]), 'hello');
});

test('after the first byte of the destination, and after more than a first message, a refusal is a break', async () => {
  const refusal = new TunnelError('DestinationUnreachable', 'the agent could not connect');
  {
    await using b = await bridged();
    let answers = 0;
    b.client.on('data', () => {
      answers += 1;
    });
    b.far.write('welcome');
    await once(b.client, 'data');
    const reset = new Promise((resolve) => b.client.once('close', resolve));
    b.near.destroy(refusal);
    assert.deepEqual([(await b.result).refusal, (await b.result).failure, answers], [undefined, refusal, 1]);
    await reset;
  }
  await using b = await bridged();
  b.client.write(Buffer.alloc(20_000));
  let sent = 0;
  for await (const chunk of b.far.iterator({ destroyOnReturn: false })) {
    sent += (chunk as Buffer).length;
    if (sent === 20_000) break;
  }
  b.near.destroy(refusal);
  assert.equal((await b.result).refusal, undefined);
});
