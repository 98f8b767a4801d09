// Feeds the ssm driver's decoders with broken input: valid messages and frames with bits flipped, bytes cut, duplicated and spliced, and
// plain noise. An error is: an exception that is not the decoder's own, a message that its bytes do not contain, data invented or lost.
// Neighbours: ../fuzz.ts runs it as a command, test/unit/sidecar/drivers/ssm/fuzz.test.ts runs it briefly.
import assert from 'node:assert/strict';
import { decodeMessage, encodeMessage, messageType } from '../../../src/sidecar/drivers/ssm/channel/message.ts';
import {
  acknowledgement,
  encodeFlag,
  handshakeResponse,
  parseAcknowledgement,
  parseChannelClosed,
  parseFlag,
  parseHandshakeComplete,
  parseHandshakeRequest,
  parseSessionType,
} from '../../../src/sidecar/drivers/ssm/channel/payload.ts';
import { FrameParser, SmuxProtocolError } from '../../../src/sidecar/drivers/ssm/streams/smux/frame.ts';
import { broken, numbers } from '../broken.ts';

const handshakeRequest = Buffer.from(
  '{"AgentVersion":"3.3.987.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"host":"db","portNumber":"5432","type":"LocalPortForwarding"}}}]}',
);
const payloads: readonly Buffer[] = [
  Buffer.alloc(0),
  Buffer.from('0100000003000000', 'hex'),
  Buffer.from('01021200030000004745542f20485454502f312e300d0a0d0a0d0101000003000000', 'hex'),
  encodeFlag(3),
  handshakeRequest,
  handshakeResponse('1.2.835.0', [{ actionType: 'SessionType', status: 1, error: '' }]),
  Buffer.from('{"HandshakeTimeToComplete":37000000,"CustomerMessage":"hello"}'),
  Buffer.from('{"MessageId":"x","SessionId":"y","Output":"Handshake timed out"}'),
  acknowledgement({ messageId: '00112233-4455-4677-8899-aabbccdd0001', sequenceNumber: 7 }),
];

const seeds: readonly Buffer[] = [
  ...payloads,
  ...Object.values(messageType).flatMap((type) =>
    payloads.map((payload, index) =>
      encodeMessage({
        messageType: type,
        sequenceNumber: index,
        flags: index % 4,
        createdDate: 1_700_000_000_000,
        messageId: '00112233-4455-4677-8899-aabbccdd0001',
        payloadType: index,
        payload,
      }),
    ),
  ),
];

function messageHolds(bytes: Buffer): boolean {
  const message = decodeMessage(bytes);
  if (typeof message === 'string') return false;
  assert.ok(message.messageType.length > 0 && message.messageType.length <= 32);
  assert.ok(message.payload.length <= bytes.length - 116);
  // Written and read again it is the same: nothing was invented.
  const again = decodeMessage(encodeMessage({ ...message, createdDate: message.createdDate || 1 }));
  if (Number.isSafeInteger(message.createdDate) && Number.isSafeInteger(message.flags)) {
    assert.ok(typeof again !== 'string');
    assert.equal(again.messageId, message.messageId);
    assert.ok(again.payload.equals(message.payload));
  }
  return true;
}

function payloadHolds(bytes: Buffer): void {
  const sequence = parseAcknowledgement(bytes);
  assert.ok(sequence === undefined || (Number.isSafeInteger(sequence) && sequence >= 0));
  assert.ok((parseFlag(bytes) ?? 0) >= 0);
  for (const { parameters } of parseHandshakeRequest(bytes)?.actions ?? []) parseSessionType(parameters);
  parseHandshakeComplete(bytes);
  assert.equal(typeof parseChannelClosed(bytes), 'string');
}

/** The same bytes, whole or cut, must give the same frames or fail at the same place. */
function framesHold(bytes: Buffer, random: () => number): void {
  const seen = (chunks: readonly Buffer[]): string => {
    let text = '';
    let last = -1;
    const parser = new FrameParser({
      opened: (stream) => {
        text += `\nopen ${stream}`;
        last = -1;
      },
      finished: (stream) => {
        text += `\nfinish ${stream}`;
        last = -1;
      },
      nop: () => {
        text += '\nnop';
        last = -1;
      },
      data: (stream, piece) => {
        text += `${last === stream ? '' : `\ndata ${stream} `}${piece.toString('hex')}`;
        last = stream;
      },
    });
    try {
      for (const chunk of chunks) parser.push(chunk);
    } catch (error) {
      if (!(error instanceof SmuxProtocolError)) throw error;
      text += `\n${error.message}`;
    }
    return text;
  };
  const cut = Math.floor(random() * (bytes.length + 1));
  const second = cut + Math.floor(random() * (bytes.length - cut + 1));
  assert.equal(seen([bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)]), seen([bytes]));
}

/** Runs that many inputs. @throws at the first wrong result, with the seed and the input's number. */
export function fuzzDecoders(inputs: number, seed: number): { readonly messages: number } {
  const random = numbers(seed);
  let messages = 0;
  for (let input = 0; input < inputs; input += 1) {
    const bytes = broken(seeds, random);
    try {
      if (messageHolds(bytes)) messages += 1;
      payloadHolds(bytes);
      framesHold(bytes, random);
    } catch (cause) {
      throw new Error(`seed ${seed}, input ${input}: ${bytes.toString('hex')}`, { cause });
    }
  }
  return { messages };
}
