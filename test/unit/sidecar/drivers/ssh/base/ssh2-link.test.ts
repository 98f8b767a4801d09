// What ssh2 and a socket get to see while the native engine has the socket.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Client } from 'ssh2';
import {
  type Engine,
  type LinkLoss,
  linkCells,
  type NativeLink,
  type NativeLinkOptions,
} from '../../../../../../src/sidecar/base/native-engine.ts';
import { linkTaker } from '../../../../../../src/sidecar/drivers/ssh/base/ssh2-link.ts';
import type {
  Cipher,
  Decipher,
  NativeCipher,
  Protocol,
} from '../../../../../../src/sidecar/drivers/ssh/base/ssh2-protocol.ts';

import { assertEvery } from '../../../../../support/assert-every.ts';

interface World extends AsyncDisposable {
  readonly client: Client & EventEmitter;
  readonly protocol: Protocol;
  readonly socket: Socket;
  /** The bastion's end of the socket. */
  readonly far: Socket;
  /** What was called on the link, in order. */
  readonly calls: string[];
  readonly payloads: string[];
  readonly losses: LinkLoss[];
  /** Of the engine's next link. */
  failure: Error | undefined;
  take(): ReturnType<ReturnType<typeof linkTaker>>;
  options(): NativeLinkOptions;
}

const keyed = (name: string): NativeCipher => ({
  key: () => Buffer.from(`key ${name}`),
  iv: () => Buffer.from(`iv ${name}`),
});

function cipher(name: string): Cipher {
  return {
    allocPacket: (bytes) => Buffer.alloc(bytes),
    encrypt: () => assert.fail('ssh2 encrypts'),
    _instance: keyed(name),
  };
}

async function world(): Promise<World> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[far]] = await Promise.all([accepted, once(socket, 'connect')]);
  server.close();
  const calls: string[] = [];
  const payloads: string[] = [];
  const losses: LinkLoss[] = [];
  const decipher = (name: string): Decipher => ({
    _onPayload: (payload) => payloads.push(`${name} ${payload.toString()}`),
    _instance: keyed(name),
    _lenBytes: 0,
  });
  const protocol = {
    _handlers: {},
    _kexinit: undefined,
    _destruct: () => undefined,
    _cipher: cipher('send'),
    _decipher: decipher('receive'),
    _onHandshakeComplete: () => calls.push('complete'),
  } as unknown as Protocol;
  let options: NativeLinkOptions | undefined;
  const text = (bytes: Uint8Array | undefined): string => (bytes === undefined ? '-' : Buffer.from(bytes).toString());
  const link: NativeLink = {
    close: () => void calls.push('close'),
    setSendKey: (key, iv) => void calls.push(`send ${text(key)}, ${text(iv)}`),
    setReceiveKey: (key, iv) => void calls.push(`receive ${text(key)}, ${text(iv)}`),
    seal: (packet) => void calls.push(`seal ${text(packet)}`),
    start: (early) => void calls.push(`start ${text(early)}`),
    flush: () => void calls.push('flush'),
  };
  const engine: Engine = {
    link: (given) => {
      if (made.failure !== undefined) throw made.failure;
      options = given;
      return link;
    },
    waitedMs: () => 0,
    listen: () => assert.fail('it listens'),
    close: () => undefined,
  };
  const client = Object.assign(new EventEmitter(), { _protocol: protocol }) as unknown as World['client'];
  const made: World = {
    client,
    protocol,
    socket,
    far,
    calls,
    payloads,
    losses,
    failure: undefined,
    take: () => {
      const handlers = {
        maxChannels: 500,
        onLost: (loss: LinkLoss) => void losses.push(loss),
        onBusyChange: () => undefined,
      };
      return linkTaker(engine)(client, socket, handlers);
    },
    options: () => {
      assert(options !== undefined);
      return options;
    },
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      far.destroy();
      await Promise.resolve();
    },
  };
  return made;
}

const change = (target: object, fields: object): object => Object.assign(target, fields);

test('ssh2’s own build of its binding gives no keys: everything stays with ssh2', async () => {
  await using w = await world();
  change(w.protocol._cipher, { _instance: {} });
  assert.equal(w.take(), undefined);
  assert.equal(w.socket.isPaused(), false);
});

test('a socket in the middle of a key exchange, or with bytes to write, stays with ssh2', async () => {
  await using w = await world();
  change(w.protocol, { _kexinit: {} });
  assert.equal(w.take(), undefined);
  change(w.protocol, { _kexinit: undefined });
  w.socket.cork();
  w.socket.write('waits');
  assert.equal(w.take(), undefined);
});

test('a session stays with ssh2 if the engine has no descriptor left for it', async () => {
  await using w = await world();
  w.failure = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  assert.equal(w.take(), undefined);
  w.socket.on('data', () => undefined);
  w.far.write('for ssh2');
  await once(w.socket, 'data');
  assert.equal(w.socket.bytesRead, 8);
});

test('the engine gets the keys and the descriptor; ssh2’s packets and payloads take the new way', async () => {
  await using w = await world();
  const taken = w.take();
  assert(taken !== undefined);
  assert.deepEqual(w.calls, ['receive key receive, iv receive', 'send key send, iv send', 'start -']);
  assert(w.options().fd > 0);
  w.protocol._cipher.encrypt(Buffer.from('a packet'));
  assert.equal(w.calls.at(-1), 'seal a packet');
  w.options().onPayload(Buffer.from('hello'));
  assert.deepEqual(w.payloads, ['receive hello']);
  let drains = 0;
  w.socket.on('data', () => assert.fail('Node reads'));
  await new Promise((resolve) => w.far.write('for the engine', resolve));
  for (let turns = 0; turns < 5; turns += 1) await turn();
  assert.equal(w.socket.readableLength, 0, 'Node would keep what it reads');
  w.socket.on('drain', () => (drains += 1));
  w.options().onDrain();
  taken.cells[linkCells.bytesRead] = 7;
  taken.cells[linkCells.bytesWritten] = 8;
  taken.cells[linkCells.unsent] = 9;
  assert.deepEqual([drains, w.socket.bytesRead, w.socket.bytesWritten, w.socket.writableLength], [1, 7, 8, 9]);
});

test('the copies of keys that the engine was given are erased', async () => {
  await using w = await world();
  const given: Buffer[] = [];
  const noted = (name: string): NativeCipher => {
    const { key, iv } = keyed(name) as Required<NativeCipher>;
    const note = (bytes: Buffer): Buffer => {
      given.push(bytes);
      return bytes;
    };
    return { key: () => note(key()), iv: () => note(iv()) };
  };
  change(w.protocol._cipher, { _instance: noted('send') });
  change(w.protocol._decipher as Decipher, { _instance: noted('receive') });
  w.take();
  assert.deepEqual(w.calls.slice(0, 2), ['receive key receive, iv receive', 'send key send, iv send']);
  change(w.protocol, { _cipher: { ...cipher('new'), _instance: noted('new') } });
  w.protocol._onHandshakeComplete({} as never);
  assert.equal(w.calls.at(-2), 'send key new, iv new');
  assert.equal(given.length, 6);
  assertEvery(given, (bytes) => bytes.every((byte) => byte === 0), 'erased');
});

test('a packet that ssh2 has read in part goes on in the engine', async () => {
  await using w = await world();
  const decipher = w.protocol._decipher as object;
  change(decipher, { _lenBytes: 2, _len: 0x4142, _packet: null, _pktLen: 0, _tag: Buffer.alloc(16), _tagPos: 0 });
  w.take();
  assert.equal(w.calls.at(-1), 'start AB');
  await using other = await world();
  change(other.protocol._decipher as object, {
    _lenBytes: 4,
    _len: 0x41424344,
    _packet: Buffer.from('packet....'),
    _pktLen: 6,
    _tag: Buffer.from('tag.............'),
    _tagPos: 3,
  });
  other.take();
  assert.equal(other.calls.at(-1), 'start ABCDpackettag');
});

test('a key exchange changes the keys of each direction at its own time, before ssh2 sends what waited', async () => {
  await using w = await world();
  w.take();
  w.calls.length = 0;
  const old = w.protocol._decipher as Decipher;
  // NEWKEYS: ssh2 makes both, and sends what has waited.
  old._onPayload = () => {
    change(w.protocol, {
      _decipher: {
        _onPayload: (payload: Buffer) => w.payloads.push(`new ${payload.toString()}`),
        _instance: keyed('in'),
      },
    });
    change(w.protocol, { _cipher: cipher('out') });
    w.protocol._onHandshakeComplete({} as never);
    w.protocol._cipher.encrypt(Buffer.from('waited'));
  };
  w.options().onPayload(Buffer.of(21));
  assert.deepEqual(w.calls, ['send key out, iv out', 'complete', 'seal waited', 'receive key in, iv in']);
  w.options().onPayload(Buffer.from('next'));
  assert.deepEqual(w.payloads, ['new next']);
});

test('a cipher that the engine does not have ends the session', async () => {
  await using w = await world();
  w.take();
  change(w.protocol, { _cipher: { ...cipher('other'), _instance: undefined } });
  const failed = once(w.socket, 'error');
  w.protocol._onHandshakeComplete({} as never);
  assert.match(String((await failed)[0]), /cipher that the native engine does not have/);
});

test('what ssh2 throws about a payload is an error of the client, and the end', async () => {
  await using w = await world();
  w.take();
  (w.protocol._decipher as Decipher)._onPayload = () => {
    throw new Error('Bad packet');
  };
  const errors: unknown[] = [];
  w.client.on('error', (error) => errors.push(error));
  w.options().onPayload(Buffer.of(1));
  assert.match(String(errors[0]), /Bad packet/);
  assert.equal(w.calls.at(-1), 'close');
  change(w.protocol, { _destruct: undefined });
  w.options().onPayload(Buffer.of(1));
  assert.equal(errors.length, 1, 'a client that has given up hears nothing more');
});

test('the end of the socket is the end of the link, once; what still arrives is dropped', async () => {
  await using w = await world();
  w.take();
  w.socket.on('data', () => assert.fail('ssh2 reads what it cannot decrypt'));
  w.socket.end();
  w.socket.destroySoon();
  assert.deepEqual(
    w.calls.filter((call) => call === 'close'),
    ['close'],
  );
  w.far.resume();
  w.far.end('late');
  await once(w.socket, 'close');
});
