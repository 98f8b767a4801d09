// What the tests of the smux multiplexer see of a stream. Neighbour: agent-side.ts, its far side.
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../../../../../../src/contract/errors.ts';

/** What a reader gets: its bytes, and how it ended. */
export function reader(stream: Duplex): {
  readonly bytes: () => Buffer;
  end: boolean;
  error: Error | undefined;
  closed: boolean;
} {
  const chunks: Buffer[] = [];
  const state = {
    bytes: () => Buffer.concat(chunks),
    end: false,
    error: undefined as Error | undefined,
    closed: false,
  };
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    state.end = true;
  });
  stream.on('error', (error) => {
    state.error = error;
  });
  stream.on('close', () => {
    state.closed = true;
  });
  return state;
}

export function codeOf(error: Error | undefined): string | undefined {
  return error instanceof TunnelError ? error.code : error?.message;
}
