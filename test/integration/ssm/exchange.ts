// What the ssm tests do with a stream, and what is at its far end. Neighbour: ssm-world.ts.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Destination, Session } from '../../../src/sidecar/base/driver.ts';

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A port of the node itself. */
export const local = ({ port }: { readonly port: number }): Destination => ({ host: '127.0.0.1', port });

export function dial(session: Session, destination: Destination): Promise<Duplex> {
  return session.dial(destination, { signal: AbortSignal.timeout(10_000) });
}

/**
 * Sends everything and receives as much back, with at most `ahead` bytes in flight. An echo is slower than its sender: everything at once
 * would stop the agent, which then reads no acknowledgement either. @throws the stream's error, or if it ends early.
 */
export async function roundTrip(
  stream: Duplex,
  bytes: Buffer,
  onBytes?: () => void,
  ahead = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const got: Buffer[] = [];
  let length = 0;
  let sent = 0;
  const send = (): void => {
    while (sent < bytes.length && sent - length < ahead) {
      const part = bytes.subarray(sent, sent + 64 * 1024);
      sent += part.length;
      stream.write(part);
    }
  };
  const all = new Promise<Buffer>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      got.push(chunk);
      length += chunk.length;
      onBytes?.();
      send();
      if (length >= bytes.length) resolve(Buffer.concat(got));
    });
    stream.on('error', reject);
    stream.on('end', () => reject(new Error(`ended after ${length} bytes`)));
  });
  send();
  return all;
}

/** Sends a text and returns as much of the answer, in however many chunks. @throws the stream's error, or if it ends early. */
export async function asked(stream: Duplex, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let answer = '';
  const take = (chunk: Buffer): void => {
    answer += chunk.toString('latin1');
    if (answer.length >= text.length) resolve(answer);
  };
  const ended = (): void => reject(new Error(`ended after "${answer}"`));
  stream.on('data', take).once('error', reject).once('end', ended);
  stream.write(text);
  try {
    return await promise;
  } finally {
    stream.off('data', take).off('error', reject).off('end', ended);
  }
}

/** A service that echoes, but answers `piece` with 64 KiB and `flood` with a flood: slow readers and the others share one destination. */
export const floodOrEcho = (socket: Socket): void => {
  const block = Buffer.alloc(64 * 1024, 'x');
  const more = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on('data', (bytes: Buffer) => {
    const said = String(bytes);
    // Two words that were sent one after the other may arrive in one chunk.
    if (said.endsWith('flood')) {
      socket.on('drain', more);
      more();
    } else socket.write(said === 'piece' ? block : bytes);
  });
};
