import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeMessage,
  encodeMessage,
  type Message,
} from '../../../../../../src/sidecar/drivers/ssm/channel/message.ts';
import { golden, vector } from '../golden.ts';
import { naiveDecode, naiveEncode } from '../naive-codec.ts';

function decoded(bytes: Buffer): Message {
  const message = decodeMessage(bytes);
  if (typeof message === 'string') assert.fail(`refused as ${message}`);
  return message;
}

for (const { name, kind, hex, fields } of golden.vectors) {
  if (kind !== 'agentMessage' || fields === undefined) continue;

  test(`the message ${name} is read as its golden vector says`, () => {
    const { headerLength: _header, payloadDigest: _digest, payloadHex, payloadUtf8: _text, ...expected } = fields;
    const { payload, ...message } = decoded(Buffer.from(hex, 'hex'));
    assert.deepEqual(
      { ...message, payload: payload.toString('hex') },
      {
        messageType: expected.messageType,
        sequenceNumber: expected.sequenceNumber,
        flags: expected.flags,
        createdDate: expected.createdDate,
        messageId: expected.messageId,
        payloadType: expected.payloadType ?? 0,
        payload: payloadHex,
      },
    );
  });

  if (fields.headerLength === 116) {
    test(`the message ${name} is written as its golden vector says`, () => {
      const bytes = encodeMessage({
        ...fields,
        payloadType: fields.payloadType ?? 0,
        payload: Buffer.from(fields.payloadHex, 'hex'),
      });
      assert.equal(bytes.toString('hex'), hex);
    });
  }
}

const message = fc.record({
  messageType: fc.constantFrom('input_stream_data', 'output_stream_data', 'acknowledge', 'channel_closed'),
  sequenceNumber: fc.nat(Number.MAX_SAFE_INTEGER),
  flags: fc.nat(3),
  createdDate: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  messageId: fc.uuid(),
  payloadType: fc.nat(12),
  payload: fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
});

test('the codec writes and reads any message like a second, naive codec', () => {
  fc.assert(
    fc.property(message, (one) => {
      const bytes = encodeMessage(one);
      assert.deepEqual([...bytes], [...naiveEncode(one)]);
      assert.deepEqual(decoded(bytes), { ...one });
      const naive = naiveDecode(bytes);
      assert.equal(naive.sequenceNumber, BigInt(one.sequenceNumber));
      assert.equal(naive.messageId, one.messageId);
      assert.equal(naive.payload, one.payload.toString('hex'));
    }),
  );
});

test('a message with one flipped bit in payload or digest is refused, so that the agent sends it again', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(7), (one, position, bit) => {
      fc.pre(one.payload.length > 0);
      const bytes = encodeMessage(one);
      const places = [...Array(32).keys()].map((at) => 80 + at).concat([...one.payload.keys()].map((at) => 120 + at));
      const at = places[position % places.length] ?? 80;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      assert.equal(decodeMessage(bytes), 'Digest');
    }),
  );
});

test('a message that is cut off, has an impossible header, no type, no date or a negative sequence number is refused with that reason', () => {
  const bytes = vector('input-smux-psh');
  const changed = (at: number, value: number[]): Buffer =>
    Buffer.concat([bytes.subarray(0, at), Buffer.from(value), bytes.subarray(at + value.length)]);
  assert.equal(decodeMessage(bytes.subarray(0, 115)), 'TooShort');
  assert.equal(decodeMessage(bytes.subarray(0, 119)), 'TooShort');
  assert.equal(decodeMessage(changed(0, [0, 0, 0, 111])), 'HeaderLength');
  assert.equal(decodeMessage(changed(0, [0xff, 0xff, 0xff, 0xff])), 'HeaderLength');
  assert.equal(decodeMessage(changed(4, Array<number>(32).fill(0))), 'NoType');
  assert.equal(decodeMessage(changed(40, Array<number>(8).fill(0))), 'NoDate');
  assert.equal(decodeMessage(changed(48, Array<number>(8).fill(0xff))), 'SequenceNumber');
});

test('start_publication is accepted whatever its digest, length and date are', () => {
  const bytes = vector('start-publication-hl112');
  bytes.fill(0, 40, 48);
  assert.equal(decoded(Buffer.concat([bytes, Buffer.from('anything')])).messageType, 'start_publication');
});

test('a captured message whose digest is the hexadecimal text of one is refused, not misread', () => {
  assert.equal(decodeMessage(Buffer.from(golden.thirdPartyCapture.hex, 'hex')), 'Digest');
});
