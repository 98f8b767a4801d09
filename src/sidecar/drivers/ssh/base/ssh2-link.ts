// Gives the socket of an authenticated client to the native engine. From then on the engine reads and writes it: it keeps the packets of its
// own channels, ssh2 gets the payload of every other one, and what ssh2 sends is encrypted and sent by the engine.
// Neighbours: ssh2-protocol.ts has ssh2's internals, take-link.ts is what a session sees, base/native-engine.ts the engine.
import type { Socket } from 'node:net';
import type { Client } from 'ssh2';
import { type Engine, linkCells, type NativeLink } from '../../../base/native-engine.ts';
import { type Decipher, type NativeCipher, type Protocol, protocolOf } from './ssh2-protocol.ts';
import type { LinkHandlers, TakeLink } from './take-link.ts';

interface Keys {
  readonly key: Buffer;
  readonly iv: Buffer;
}

/** What a socket of Node has inside. */
interface Inside {
  readonly _handle: Handle | null;
}

interface Handle {
  readonly fd: number;
  /** Whether libuv reads. */
  reading: boolean;
  readStop(): number;
}

/** Links of that engine. */
export function linkTaker(engine: Engine): TakeLink {
  return (client, socket, handlers) => {
    const protocol = protocolOf(client);
    const { _handle: handle } = socket as unknown as Inside;
    const send = keysOf(protocol._cipher._instance);
    const receive = keysOf(protocol._decipher?._instance);
    if (send === undefined || receive === undefined || handle === null || handle.fd < 0) return undefined;
    // What Node has to write still would follow what the engine writes.
    if (socket.readableLength > 0 || socket.writableLength > 0 || protocol._kexinit !== undefined) return undefined;
    return new Taken(client, socket, handlers).begin(engine, handle, { send, receive });
  };
}

/** Undefined for another cipher, and for ssh2's own build of its binding. */
function keysOf(instance: NativeCipher | undefined): Keys | undefined {
  if (instance?.key === undefined || instance.iv === undefined) return undefined;
  return { key: instance.key(), iv: instance.iv() };
}

/** The engine keeps its own; ours is erased, and does not lie about until it is collected. */
function hand({ key, iv }: Keys, take: (key: Buffer, iv: Buffer) => void): void {
  take(key, iv);
  key.fill(0);
  iv.fill(0);
}

class Taken {
  readonly #client: Client;
  readonly #protocol: Protocol;
  readonly #socket: Socket;
  readonly #handlers: LinkHandlers;
  readonly #cells = new Float64Array(linkCells.length);
  #link: NativeLink | undefined;

  constructor(client: Client, socket: Socket, handlers: LinkHandlers) {
    this.#client = client;
    this.#protocol = protocolOf(client);
    this.#socket = socket;
    this.#handlers = handlers;
  }

  begin(
    engine: Engine,
    handle: Handle,
    { send, receive }: { readonly send: Keys; readonly receive: Keys },
  ): ReturnType<TakeLink> {
    const cells = this.#cells;
    const link = this.#linkOf(engine, handle.fd);
    if (link === undefined) return undefined;
    const early = underWay(this.#protocol._decipher);
    this.#takeSocket(handle);
    this.#link = link;
    hand(receive, (key, iv) => link.setReceiveKey(key, iv));
    this.#takeCipher(send);
    const complete = this.#protocol._onHandshakeComplete;
    this.#protocol._onHandshakeComplete = (negotiated) => {
      this.#takeCipher(keysOf(this.#protocol._cipher._instance));
      complete(negotiated);
    };
    link.start(early);
    return { link, cells };
  }

  /** Undefined if no descriptor is left for it: the session is logged in, and JavaScript can carry over it. */
  #linkOf(engine: Engine, fd: number): NativeLink | undefined {
    const { maxChannels, onLost, onBusyChange } = this.#handlers;
    try {
      return engine.link({
        fd,
        cells: this.#cells,
        maxChannels,
        onPayload: (payload) => this.#take(payload),
        onDrain: () => void this.#socket.emit('drain'),
        onLost,
        onBusyChange,
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EMFILE') return undefined;
      throw error;
    }
  }

  /** Node neither reads nor writes it any more; its counts are those of the engine. Its end is the link's as well. */
  #takeSocket(handle: Handle): void {
    const socket = this.#socket;
    const cells = this.#cells;
    const before = { read: socket.bytesRead, written: socket.bytesWritten };
    socket.pause();
    // Only with a buffer of its own (lent-reads.ts) it has stopped reading now; any other socket reads on until its queue is full.
    if (handle.reading) {
      handle.reading = false;
      handle.readStop();
    }
    Object.defineProperties(socket, {
      bytesRead: { get: () => before.read + (cells[linkCells.bytesRead] ?? 0) },
      bytesWritten: { get: () => before.written + (cells[linkCells.bytesWritten] ?? 0) },
      writableLength: { get: () => cells[linkCells.unsent] ?? 0 },
    });
    const end = socket.end.bind(socket) as (...words: unknown[]) => Socket;
    socket.end = (...words: unknown[]) => {
      this.#giveBack();
      return end(...words);
    };
    const destroy = socket.destroy.bind(socket);
    socket.destroy = (error?: Error) => {
      this.#giveBack();
      return destroy(error);
    };
  }

  /** The engine lets go of it. What still arrives is dropped: it is read for the sake of its end. */
  #giveBack(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    link.close();
    this.#socket.removeAllListeners('data').resume();
  }

  /** What ssh2 does with a payload that it read itself. */
  #take(payload: Buffer): void {
    const protocol = this.#protocol;
    const { _decipher: decipher } = protocol;
    if (decipher === undefined || protocol._destruct === undefined) return;
    try {
      decipher._onPayload(payload);
    } catch (error) {
      this.#client.emit('error', error);
      if (this.#socket.writable) this.#socket.end();
      return;
    }
    if (protocol._decipher === decipher) return;
    const keys = keysOf(protocol._decipher?._instance);
    // Without keys for what follows, the engine reports the loss.
    if (keys !== undefined) hand(keys, (key, iv) => this.#link?.setReceiveKey(key, iv));
  }

  /** A key exchange makes a new cipher: what it would encrypt, the engine does. */
  #takeCipher(keys: Keys | undefined): void {
    if (keys === undefined) {
      this.#socket.destroy(new Error('the key exchange chose a cipher that the native engine does not have'));
      return;
    }
    hand(keys, (key, iv) => this.#link?.setSendKey(key, iv));
    this.#protocol._cipher.encrypt = (packet) => this.#link?.seal(packet);
  }
}

/** What ssh2 has read of a packet that is not whole yet, as it came. Undefined between two packets. */
function underWay(decipher: Decipher | undefined): Buffer | undefined {
  const { _lenBytes: lengthBytes = 0, _len: length = 0, _packet: packet, _pktLen: packetBytes = 0 } = decipher ?? {};
  if (lengthBytes === 0) return undefined;
  const counted = Buffer.alloc(4);
  counted.writeUInt32BE(length);
  const tag = decipher?._tag?.subarray(0, decipher._tagPos) ?? Buffer.alloc(0);
  return Buffer.concat([counted.subarray(4 - lengthBytes), packet?.subarray(0, packetBytes) ?? Buffer.alloc(0), tag]);
}
