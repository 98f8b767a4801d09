// Services behind the bastion, one per behaviour. Each listens on loopback on a port of its own and ends with `stop`.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface Service {
  readonly port: number;
  /** Connections open now. */
  readonly connections: ReadonlySet<Socket>;
  stop(): Promise<void>;
}

export async function serve(handle: (socket: Socket) => void): Promise<Service> {
  const connections = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => connections.delete(socket));
    handle(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    connections,
    async stop() {
      server.close();
      for (const socket of connections) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** Sends back what comes, and ends when the client does. */
export const echo = (socket: Socket): void => void socket.pipe(socket);

/** Reads everything, and after the client's end answers with its SHA-256: works only if half-close is kept. */
export const hashAfterEnd = (socket: Socket): void => {
  const hash = createHash('sha256');
  socket.on('data', (bytes) => hash.update(bytes)).once('end', () => socket.end(hash.digest('hex')));
};

/** Sends that many bytes of a known content, then ends. */
export const download =
  (content: Buffer) =>
  (socket: Socket): void => {
    socket.resume();
    socket.end(content);
  };

/** Ends its side at once and still reads what the client sends; calls `received` when the client ends. */
export const endFirst =
  (received: (bytes: Buffer) => void) =>
  (socket: Socket): void => {
    const chunks: Buffer[] = [];
    socket.end('bye');
    socket.on('data', (bytes: Buffer) => chunks.push(bytes)).once('end', () => received(Buffer.concat(chunks)));
  };

/** Answers the first bytes with a text, then breaks the connection off. */
export const reset =
  (text: string) =>
  (socket: Socket): void => {
    socket.once('data', () => socket.write(text, () => socket.resetAndDestroy()));
  };

/** Sends a block without end, as fast as the reader reads. */
export const flood = (socket: Duplex, block: Buffer = randomBytes(64 * 1024)): void => {
  const more = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on('drain', more).resume();
  more();
};

/** A port that refuses connections and that nobody else can get: it is the near end of a connection, which is held until `stop`. */
export async function closedPort(): Promise<Pick<Service, 'port' | 'stop'>> {
  const service = await serve(() => undefined);
  const holder = connect(service.port, '127.0.0.1').on('error', () => undefined);
  await once(holder, 'connect');
  const { localPort: port } = holder;
  if (port === undefined) throw new Error('no port');
  return {
    port,
    async stop() {
      holder.destroy();
      await service.stop();
    },
  };
}
