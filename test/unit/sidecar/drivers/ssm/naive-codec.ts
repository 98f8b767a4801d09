// A second codec for messages and smux frames, written as plainly as the layout table and sharing nothing with the driver's: where the two
// differ, one of them is wrong.
import { createHash } from 'node:crypto';

export interface NaiveMessage {
  readonly headerLength: number;
  readonly messageType: string;
  readonly createdDate: bigint;
  readonly sequenceNumber: bigint;
  readonly flags: bigint;
  readonly messageId: string;
  readonly digest: string;
  readonly payloadType: number | null;
  readonly payload: string;
}

const hexOf = (bytes: Iterable<number>): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export function naiveDecode(bytes: Uint8Array): NaiveMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getUint32(0);
  const id = hexOf([...bytes.slice(72, 80), ...bytes.slice(64, 72)]);
  return {
    headerLength,
    messageType: String.fromCharCode(...bytes.slice(4, 36)).replace(/^[\0 ]+|[\0 ]+$/g, ''),
    createdDate: view.getBigUint64(40),
    sequenceNumber: view.getBigInt64(48),
    flags: view.getBigUint64(56),
    messageId: id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    digest: hexOf(bytes.slice(80, 112)),
    payloadType: headerLength === 116 ? view.getUint32(112) : null,
    payload: hexOf(bytes.slice(headerLength + 4)),
  };
}

export function naiveEncode(message: {
  messageType: string;
  sequenceNumber: number;
  flags: number;
  createdDate: number;
  messageId: string;
  payloadType: number;
  payload: Uint8Array;
}): Uint8Array {
  const number = (value: bigint, bytes: number): number[] =>
    Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * (bytes - 1 - index))) & 255n));
  const id =
    message.messageId
      .replaceAll('-', '')
      .match(/../g)
      ?.map((pair) => Number.parseInt(pair, 16)) ?? [];
  return Uint8Array.from([
    ...number(116n, 4),
    ...Array.from(message.messageType.padEnd(32, ' '), (letter) => letter.charCodeAt(0)),
    ...number(1n, 4),
    ...number(BigInt(message.createdDate), 8),
    ...number(BigInt(message.sequenceNumber), 8),
    ...number(BigInt(message.flags), 8),
    ...id.slice(8),
    ...id.slice(0, 8),
    ...createHash('sha256').update(message.payload).digest(),
    ...number(BigInt(message.payloadType), 4),
    ...number(BigInt(message.payload.length), 4),
    ...message.payload,
  ]);
}

export interface NaiveFrame {
  readonly command: number;
  readonly stream: number;
  readonly data: string;
}

/** Every complete frame in these bytes. */
export function naiveFrames(bytes: Uint8Array): NaiveFrame[] {
  const frames: NaiveFrame[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const [version = 0, command = 0, low = 0, high = 0, a = 0, b = 0, c = 0, d = 0] = bytes.slice(at, at + 8);
    if (version !== 1) throw new Error(`version ${version}`);
    const length = command === 2 ? low + 256 * high : 0;
    frames.push({
      command,
      stream: a + 256 * b + 65_536 * c + 16_777_216 * d,
      data: hexOf(bytes.slice(at + 8, at + 8 + length)),
    });
    at += 8 + length;
  }
  return frames;
}
