// What an aborted dial is reported as; what sshd refuses is tested with a real one (test/integration/ssh/errors.test.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { DeadlineExceeded } from '../../../../../../src/process/deadline.ts';
import { dialTimedOut, openFailure } from '../../../../../../src/sidecar/drivers/ssh/channels/dial-error.ts';

const destination = { host: 'orders.db', port: 5432 };

test('a deadline, ours or the platform’s, is DestinationTimeout with the deadline as its cause', () => {
  for (const reason of [new DeadlineExceeded('a dial took too long'), new DOMException('late', 'TimeoutError')]) {
    const error = dialTimedOut(destination, 'bastion a:22', reason);
    assert.ok(error instanceof TunnelError);
    assert.equal(error.code, 'DestinationTimeout');
    assert.match(error.message, /^orders\.db:5432 does not answer bastion a:22/);
    assert.equal(error.cause, reason);
  }
});

test('any other reason is the caller’s own, and is passed on', () => {
  const reason = new TunnelError('NotConnected', 'the tunnel is stopping');
  assert.equal(dialTimedOut(destination, 'bastion a:22', reason), reason);
});

test('the words of Go, asyncssh and paramiko are read as those of OpenSSH', () => {
  const words: readonly (readonly [text: string, code: string, sentence: RegExp])[] = [
    ['dial tcp 10.0.0.9:5432: connect: connection refused', 'DestinationRefused', /start the service/],
    ['dial tcp: lookup orders.db on 10.0.0.2:53: no such host', 'DestinationNameNotResolved', /cannot resolve/],
    ['dial tcp 10.0.0.9:5432: i/o timeout', 'DestinationTimeout', /does not answer/],
    ['[Errno -2] Name or service not known', 'DestinationNameNotResolved', /cannot resolve/],
    ["[Errno 111] Connect call failed ('10.0.0.9', 5432)", 'DestinationRefused', /start the service/],
    ["[Errno 110] Connect call failed ('10.0.0.9', 5432)", 'DestinationTimeout', /does not answer/],
    ["[Errno 113] Connect call failed ('10.0.0.9', 5432)", 'DestinationUnreachable', /has no way to/],
    ['No route to host', 'DestinationUnreachable', /has no way to/],
    ['', 'DestinationUnreachable', /does not say why/],
    ['open failed', 'DestinationUnreachable', /does not say why/],
  ];
  for (const [text, code, sentence] of words) {
    const error = openFailure(destination, 'bastion a:22', { reason: 2, text });
    assert.equal(error.code, code, text);
    assert.match(error.message, sentence);
  }
});

test('a bastion that prohibits forwarding may mean an expired password; a certificate that forbids it is named', () => {
  const refusal = { reason: 1, text: 'open failed' };
  assert.match(openFailure(destination, 'bastion a:22', refusal).message, /the account’s password has expired/);
  const certified = openFailure(destination, 'bastion a:22', { ...refusal, forbiddenByCertificate: true });
  assert.match(certified.message, /lacks permit-port-forwarding/);
});
