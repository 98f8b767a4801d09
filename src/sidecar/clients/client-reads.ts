// Reads of all clients into one buffer, each looked at before the next: a buffer of its own for each read is garbage that costs more than
// a third of an upload's CPU time (docs/benchmarks.md). Node offers that to sockets that connect (`onread`). Accepted sockets have the same
// three fields, but no way to set them, so they are found by name; where they are not, each read has a buffer of its own as usual.
// Neighbour: one-way.ts uses what was read, and copies what has to wait.
import { Socket } from 'node:net';

/** Node's own reads take as much. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

const fields = new Map(
  Object.getOwnPropertySymbols(new Socket()).map((symbol) => [symbol.description ?? '', symbol] as const),
);
const buffer = fields.get('kBuffer');
const callback = fields.get('kBufferCb');

interface Handle {
  readonly useUserBuffer?: (buffer: Uint8Array) => void;
}

/** Called with what was read; the bytes are valid until it returns. */
export type TookRead = (bytes: Buffer) => void;

/**
 * From its first read on, what the client sends goes to `took` and not to 'data'; 'end', `pause` and `resume` work as usual. False, and
 * nothing has changed, if this Node does not allow it, or if the client was read already.
 */
export function takeReads(client: Socket, took: TookRead): boolean {
  const { _handle: handle } = client as unknown as { _handle?: Handle | null };
  if (buffer === undefined || callback === undefined || handle?.useUserBuffer === undefined) return false;
  if (client.bytesRead > 0 || client.readableLength > 0) return false;
  const onRead = (count: number): void => took(shared.subarray(0, count));
  Object.assign(client, { [buffer]: shared, [callback]: onRead });
  handle.useUserBuffer(shared);
  return true;
}
