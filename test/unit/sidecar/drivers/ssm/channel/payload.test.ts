import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  acknowledgement,
  encodeFlag,
  flag,
  handshakeResponse,
  openDataChannel,
  parseAcknowledgement,
  parseChannelClosed,
  parseFlag,
  parseHandshakeComplete,
  parseHandshakeRequest,
  parseSessionType,
} from '../../../../../../src/sidecar/drivers/ssm/channel/payload.ts';
import { golden, vectorPayload } from '../golden.ts';

test('the first text message is byte for byte that of the golden vector', () => {
  const text = openDataChannel({
    requestId: '6f2b1c1e-0b0a-4d7e-9a53-1b7a3a4c5d6e',
    token: 'AAEAAexampletoken==',
    clientId: '0f0e0d0c-0b0a-4908-8706-050403020100',
    clientVersion: '1.2.814.0',
  });
  assert.equal(text, golden.vectors.find(({ name }) => name === 'open-data-channel')?.text);
});

test('an acknowledgement is byte for byte that of the golden vector and names its sequence number', () => {
  const payload = acknowledgement({ messageId: '00112233-4455-4677-8899-aabbccdd0001', sequenceNumber: 0 });
  assert.deepEqual(payload, vectorPayload('ack-of-handshake-request'));
  assert.equal(parseAcknowledgement(payload), 0);
  assert.equal(parseAcknowledgement(vectorPayload('ack-of-input-smux-psh')), 2);
});

test('the handshake of the golden vectors is understood and answered byte for byte', () => {
  const request = parseHandshakeRequest(vectorPayload('handshake-request'));
  assert.equal(request?.agentVersion, '3.3.987.0');
  assert.deepEqual(
    request?.actions.map(({ actionType, parameters }) => ({ actionType, ...parseSessionType(parameters) })),
    [{ actionType: 'SessionType', sessionType: 'Port', type: 'LocalPortForwarding' }],
  );
  assert.deepEqual(
    handshakeResponse('1.2.814.0', [{ actionType: 'SessionType', status: 1, error: '' }]),
    vectorPayload('handshake-response'),
  );
  assert.equal(parseHandshakeComplete(vectorPayload('handshake-complete')), '');
});

test('flags and the end of the channel are read as the golden vectors say', () => {
  assert.deepEqual(encodeFlag(flag.terminateSession), vectorPayload('flag-terminate-session'));
  assert.deepEqual(encodeFlag(flag.disconnectToPort), vectorPayload('flag-disconnect-to-port'));
  assert.equal(parseFlag(vectorPayload('flag-connect-to-port-error')), flag.connectToPortError);
  assert.equal(parseChannelClosed(vectorPayload('channel-closed-hl112')), '');
  assert.equal(parseChannelClosed(Buffer.from('{"Output":"Handshake timed out"}')), 'Handshake timed out');
});

test('no payload throws, however wrong; one that cannot be understood is undefined', () => {
  const parsers = [parseAcknowledgement, parseFlag, parseHandshakeRequest, parseHandshakeComplete];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        for (const parse of [...parsers, parseChannelClosed]) parse(Buffer.from(bytes));
      },
    ),
  );
  for (const parse of parsers) assert.equal(parse(Buffer.from('[]')), undefined);
  for (const sequence of ['-1', '1.5', '"1"', '1e300', 'null']) {
    assert.equal(parseAcknowledgement(Buffer.from(`{"AcknowledgedMessageSequenceNumber":${sequence}}`)), undefined);
  }
});
