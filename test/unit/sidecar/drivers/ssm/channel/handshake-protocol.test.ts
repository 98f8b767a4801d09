import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Code } from '../../../../../../src/contract/errors.ts';
import { abilitiesOf, compareVersions } from '../../../../../../src/sidecar/drivers/ssm/base/agent-version.ts';
import {
  clientVersion,
  HandshakeProtocol,
  type HandshakeStep,
} from '../../../../../../src/sidecar/drivers/ssm/channel/handshake-protocol.ts';
import { payloadType } from '../../../../../../src/sidecar/drivers/ssm/channel/payload.ts';
import { vectorPayload } from '../golden.ts';

const portSession = {
  ActionType: 'SessionType',
  ActionParameters: { SessionType: 'Port', Properties: { portNumber: '5432', type: 'LocalPortForwarding' } },
};

function request(version: string, actions: unknown = [portSession]): Buffer {
  return Buffer.from(JSON.stringify({ AgentVersion: version, RequestedClientActions: actions }));
}

function refusal(step: HandshakeStep): { code: Code; message: string; response: unknown } {
  if (step.kind !== 'refused') assert.fail(`${step.kind} instead of a refusal`);
  return {
    code: step.error.code,
    message: step.error.message,
    response: step.payload === undefined ? undefined : JSON.parse(step.payload.toString()),
  };
}

test('a handshake for port forwarding is accepted, and complete once the agent says so', () => {
  const handshake = new HandshakeProtocol({ remoteHost: true, target: 'i-0abc' });
  const answer = handshake.receive(payloadType.handshakeRequest, request('3.3.987.0'));
  if (answer.kind !== 'answer') assert.fail(answer.kind);
  const expected = vectorPayload('handshake-response').toString().replace('1.2.814.0', clientVersion);
  assert.equal(answer.payload.toString(), expected);
  assert.deepEqual(handshake.receive(payloadType.handshakeComplete, Buffer.from('{"CustomerMessage":"hello"}')), {
    kind: 'complete',
    agent: {
      version: '3.3.987.0',
      customerMessage: 'hello',
      multiplexes: true,
      reachesOtherHosts: true,
      needsKeepAlive: false,
      acknowledgesAgain: true,
    },
  });
});

test('a duplicated request or completion, and stream data, change nothing', () => {
  const handshake = new HandshakeProtocol({ remoteHost: false, target: 'i-0abc' });
  assert.equal(handshake.receive(payloadType.handshakeComplete, Buffer.from('{}')).kind, 'nothing');
  assert.equal(handshake.receive(payloadType.output, Buffer.from('x')).kind, 'nothing');
  assert.equal(handshake.receive(payloadType.handshakeRequest, request('3.3.987.0')).kind, 'answer');
  assert.equal(handshake.receive(payloadType.handshakeRequest, request('3.3.987.0')).kind, 'nothing');
  assert.equal(handshake.receive(payloadType.handshakeComplete, Buffer.from('{}')).kind, 'complete');
  assert.equal(handshake.receive(payloadType.handshakeComplete, Buffer.from('{}')).kind, 'nothing');
});

test('KMS encryption is refused with its own reason, and the answer has a result for each action in its order', () => {
  const handshake = new HandshakeProtocol({ remoteHost: false, target: 'i-0abc' });
  const actions = [{ ActionType: 'KMSEncryption', ActionParameters: { KMSKeyId: 'key' } }, portSession];
  const { code, response } = refusal(handshake.receive(payloadType.handshakeRequest, request('3.3.987.0', actions)));
  assert.equal(code, 'EncryptionDemanded');
  assert.deepEqual(response, {
    ClientVersion: clientVersion,
    ProcessedClientActions: [
      { ActionType: 'KMSEncryption', ActionStatus: 3, ActionResult: null, Error: 'Unsupported action KMSEncryption' },
      { ActionType: 'SessionType', ActionStatus: 1, ActionResult: null, Error: '' },
    ],
    Errors: ['Unsupported action KMSEncryption'],
  });
  assert.equal(
    refusal(
      new HandshakeProtocol({ remoteHost: false, target: 'i-0abc' }).receive(
        payloadType.encryptionChallengeRequest,
        Buffer.from('{"Challenge":"x"}'),
      ),
    ).code,
    'EncryptionDemanded',
  );
});

test('a shell session, an unknown action, no action and an unreadable request are refused, naming the node and the remedy', () => {
  const shell = { ActionType: 'SessionType', ActionParameters: { SessionType: 'Standard_Stream' } };
  for (const payload of [
    request('3.3.987.0', [shell]),
    request('3.3.987.0', [portSession, { ActionType: 'Dance', ActionParameters: null }]),
    request('3.3.987.0', null),
    request('new', [portSession]),
    Buffer.from('{'),
  ]) {
    const handshake = new HandshakeProtocol({ remoteHost: false, target: 'i-0abc' });
    const { code, message } = refusal(handshake.receive(payloadType.handshakeRequest, payload));
    assert.equal(code, 'SessionRefused');
    assert.match(message, /^the SSM agent on i-0abc .*: .*\bupdate\b/);
  }
});

test('an agent that would connect to its own port instead of the other host’s is too old', () => {
  const old = request('3.1.1260.0');
  assert.equal(
    refusal(new HandshakeProtocol({ remoteHost: true, target: 'i-0abc' }).receive(payloadType.handshakeRequest, old))
      .code,
    'AgentTooOld',
  );
  assert.equal(
    new HandshakeProtocol({ remoteHost: false, target: 'i-0abc' }).receive(payloadType.handshakeRequest, old).kind,
    'answer',
  );
});

test('versions are compared number by number, and abilities begin at the version that brought them', () => {
  assert.ok((compareVersions('3.10.0.0', '3.9.9.9') ?? 0) > 0);
  assert.equal(compareVersions('3.1.0.0', '3.1.0.0'), 0);
  assert.equal(compareVersions('3.1.0', '3.1.0.0'), undefined);
  assert.equal(abilitiesOf('3.0.196.0')?.multiplexes, false);
  assert.equal(abilitiesOf('3.0.222.0')?.multiplexes, true);
  assert.equal(abilitiesOf('3.1.1511.0')?.needsKeepAlive, true);
  assert.equal(abilitiesOf('3.1.1575.0')?.needsKeepAlive, false);
  assert.equal(abilitiesOf('3.2.1040.0')?.acknowledgesAgain, false);
  assert.equal(abilitiesOf('3.2.1041.0')?.acknowledgesAgain, true);
});
