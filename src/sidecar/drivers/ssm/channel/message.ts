// The binary message of Session Manager's data channel: one per web socket message, big-endian, 120 bytes and then the payload.
// No I/O. Neighbours: payload.ts says what is inside, reliable.ts numbers and repeats them, message-link.ts carries them.
import { hash } from 'node:crypto';

/** The values of MessageType that occur in port forwarding. */
export const messageType = {
  input: 'input_stream_data',
  output: 'output_stream_data',
  acknowledge: 'acknowledge',
  channelClosed: 'channel_closed',
  startPublication: 'start_publication',
  pausePublication: 'pause_publication',
} as const;

export interface Message {
  readonly messageType: string;
  /** Counts the stream messages of one direction from 0; 0 for everything else. */
  readonly sequenceNumber: number;
  readonly flags: number;
  /** Unix epoch milliseconds; never 0 on the wire. */
  readonly createdDate: number;
  /** A UUID in lower case and logical order (its halves are swapped on the wire). */
  readonly messageId: string;
  /** 0 where the sender's header has none. */
  readonly payloadType: number;
  readonly payload: Buffer;
}

/** Why bytes are no message: for the log, never shown to a client. */
export type Malformed = 'TooShort' | 'HeaderLength' | 'NoType' | 'NoDate' | 'SequenceNumber' | 'Digest';

const headerBytes = 116;
/** The size of a message without its payload, in bytes. */
const messageOverhead = headerBytes + 4;
const minHeader = 112;

/** The message as bytes of its own: the payload is copied. */
export function encodeMessage(message: Message): Buffer {
  const { payload } = message;
  const bytes = Buffer.allocUnsafe(messageOverhead + payload.length);
  bytes.writeUInt32BE(headerBytes, 0);
  bytes.fill(0x20, 4, 36);
  bytes.write(message.messageType, 4, 32, 'latin1');
  bytes.writeUInt32BE(1, 36);
  writeUInt53(bytes, message.createdDate, 40);
  writeUInt53(bytes, message.sequenceNumber, 48);
  writeUInt53(bytes, message.flags, 56);
  const id = message.messageId.replaceAll('-', '');
  bytes.write(id.slice(16), 64, 8, 'hex');
  bytes.write(id.slice(0, 16), 72, 8, 'hex');
  bytes.set(hash('sha256', payload, 'buffer'), 80);
  bytes.writeUInt32BE(message.payloadType, 112);
  bytes.writeUInt32BE(payload.length, 116);
  bytes.set(payload, messageOverhead);
  return bytes;
}

/**
 * The message in these bytes, or why they are none; never throws. The payload is a view of `bytes`.
 * As tolerant as AWS's own reader, because the service sends headers of 112 bytes, pads with NUL on either side, and sets neither
 * length nor digest of start_publication and pause_publication. But a payload with a wrong digest is refused, so that it is sent again.
 */
export function decodeMessage(bytes: Buffer): Message | Malformed {
  if (bytes.length < headerBytes) return 'TooShort';
  const headerLength = bytes.readUInt32BE(0);
  if (headerLength < minHeader || headerLength > headerBytes) return 'HeaderLength';
  if (bytes.length < headerLength + 4) return 'TooShort';
  const type = unpadded(bytes, 4, 36);
  if (type === '') return 'NoType';
  const payload = bytes.subarray(headerLength + 4);
  const publication = type === messageType.startPublication || type === messageType.pausePublication;
  const createdDate = readUInt64(bytes, 40);
  const sequenceNumber = readUInt64(bytes, 48);
  if (!publication) {
    if (createdDate === 0) return 'NoDate';
    // Nothing is ever numbered beyond 2^53 (or negative): 2^53 messages of 1 ms each take 285,000 years.
    if (!Number.isSafeInteger(sequenceNumber)) return 'SequenceNumber';
    if (payload.length > 0 && !hash('sha256', payload, 'buffer').equals(bytes.subarray(80, 112))) return 'Digest';
  }
  return {
    messageType: type,
    sequenceNumber,
    flags: readUInt64(bytes, 56),
    createdDate,
    messageId: uuid(bytes.toString('hex', 72, 80) + bytes.toString('hex', 64, 72)),
    payloadType: headerLength >= headerBytes ? bytes.readUInt32BE(112) : 0,
    payload,
  };
}

function writeUInt53(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  bytes.writeUInt32BE(value % 2 ** 32, offset + 4);
}

function readUInt64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}

function unpadded(bytes: Buffer, start: number, end: number): string {
  const blank = (at: number): boolean => bytes[at] === 0 || bytes[at] === 0x20;
  let from = start;
  let to = end;
  while (from < to && blank(from)) from += 1;
  while (to > from && blank(to - 1)) to -= 1;
  return bytes.toString('latin1', from, to);
}

function uuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
