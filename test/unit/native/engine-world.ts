// An engine between a bastion of the test's own and clients. Neighbours: addon.test.ts, dying-process.ts.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type DialFailure,
  linkCells,
  listenerCells,
  type NativeLink,
  type NativeListener,
} from '../../../src/sidecar/base/native-engine.ts';
import { engineForTests } from '../../support/data-path.ts';
import { type GcmKey, GcmPeer } from '../../support/gcm-peer.ts';

export const keyOf = (bytes: 16 | 32): GcmKey => ({ key: randomBytes(bytes), iv: randomBytes(12) });

/** As ssh2 makes it: its padding, and room for the tag. */
export function packetOf(payload: Buffer): Buffer {
  const padding = 16 - ((1 + payload.length) % 16) + 16;
  const packet = Buffer.alloc(4 + 1 + payload.length + padding + 16);
  packet.writeUInt32BE(1 + payload.length + padding);
  packet[4] = padding;
  payload.copy(packet, 5);
  return packet;
}

export interface EngineWorld {
  readonly link: NativeLink;
  readonly listener: NativeListener;
  readonly cells: Float64Array;
  readonly linkCells: Float64Array;
  readonly peer: GcmPeer;
  /** The bastion's. */
  readonly socket: Socket;
  /** What was called back, in order. */
  readonly told: string[];
  onPayload: ((payload: Buffer) => void) | undefined;
  onDrain: (() => void) | undefined;
  onClient: ((fd: number, why: DialFailure | undefined) => void) | undefined;
  readonly payload: () => Promise<Buffer>;
  readonly back: () => Promise<{ readonly fd: number; readonly why: DialFailure | undefined }>;
  connect(): Socket;
  listen(port: number, host?: string): NativeListener;
  close(): Promise<void>;
}

interface WorldOptions {
  readonly bits?: 128 | 256;
  /** The bastion's first payload, and how much of its packet was read before the link began. */
  readonly early?: { readonly payload: Buffer; readonly bytes: number };
}

export async function engineWorld({ bits = 128, early }: WorldOptions): Promise<EngineWorld> {
  const { Engine } = engineForTests();
  const engine = new Engine({ budget: new Float64Array(2), budgetTotal: 64 * 1024 * 1024 });
  const { ours, theirs } = await pairOfSockets();
  const [sends, receives] = [keyOf(bits === 128 ? 16 : 32), keyOf(bits === 128 ? 16 : 32)];
  const peer = new GcmPeer(theirs, { send: receives, receive: sends });
  const told: string[] = [];
  const payloads = queue<Buffer>();
  const backs = queue<{ readonly fd: number; readonly why: DialFailure | undefined }>();
  const cells = new Float64Array(listenerCells.length);
  cells[listenerCells.places] = 10_000;
  const cellsOfLink = new Float64Array(linkCells.length);
  const { _handle: handle } = ours as unknown as { _handle: { fd: number } };
  ours.pause();
  const link = engine.link({
    fd: handle.fd,
    cells: cellsOfLink,
    maxChannels: 500,
    onPayload: (payload) => {
      world.onPayload?.(payload);
      payloads.put(payload);
    },
    onDrain: () => {
      told.push('drain');
      world.onDrain?.();
    },
    onLost: ({ cause, errno }) => told.push(`lost ${cause} ${errno}`),
    onBusyChange: (busy) => told.push(`busy ${busy}`),
  });
  const clients: Socket[] = [];
  const listen = (port: number, host = '127.0.0.1'): NativeListener =>
    engine.listen({
      host,
      port,
      destination: { host: 'db', port: 5432 },
      dialTimeoutMs: 30_000,
      cells,
      onClient: (fd, why) => {
        told.push('back');
        if (world.onClient === undefined) backs.put({ fd, why });
        else world.onClient(fd, why);
      },
      onAnswered: () => told.push('answered'),
      onIdle: () => told.push('idle'),
    });
  const listener = listen(0);
  const world: EngineWorld = {
    link,
    listener,
    cells,
    linkCells: cellsOfLink,
    peer,
    socket: theirs,
    told,
    onPayload: undefined,
    onDrain: undefined,
    onClient: undefined,
    payload: payloads.next,
    back: backs.next,
    connect: () => {
      const client = connect({ host: '127.0.0.1', port: listener.port, noDelay: true, allowHalfOpen: false });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    listen,
    close: async () => {
      engine.close();
      for (const socket of [...clients, ours, theirs]) {
        socket.destroy();
        if (!socket.closed) await once(socket, 'close');
      }
      await closedByNow();
    },
  };
  link.setSendKey(sends.key, sends.iv);
  link.setReceiveKey(receives.key, receives.iv);
  if (early === undefined) link.start();
  else {
    const packet = peer.seal(early.payload);
    link.start(packet.subarray(0, early.bytes));
    theirs.write(packet.subarray(early.bytes));
  }
  listener.setLinks([link]);
  return world;
}

/** An engine that was closed has given its descriptors back: it ends what libuv has in one round, and libuv closes that in the next. */
export async function closedByNow(): Promise<void> {
  for (let round = 0; round < 3; round++) await turn();
}

function queue<T>(): { readonly put: (value: T) => void; readonly next: () => Promise<T> } {
  const ready: T[] = [];
  const waiting: ((value: T) => void)[] = [];
  return {
    put: (value) => {
      const first = waiting.shift();
      if (first === undefined) ready.push(value);
      else first(value);
    },
    next: async () => ready.shift() ?? (await new Promise((resolve) => waiting.push(resolve))),
  };
}

async function pairOfSockets(): Promise<{ readonly ours: Socket; readonly theirs: Socket }> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // With memory of its own, a socket that is paused is not read any more (drivers/ssh/base/lent-reads.ts has such a one).
  const onread = { buffer: Buffer.alloc(1024), callback: () => true };
  const ours = connect({ host: '127.0.0.1', port, noDelay: true, onread });
  const [[theirs]] = (await Promise.all([once(server, 'connection'), once(ours, 'connect')])) as [[Socket], unknown];
  server.close();
  return { ours, theirs };
}
