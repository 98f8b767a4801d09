// What an aborted dial is reported as; what sshd refuses is tested with a real one (test/integration/ssh/errors.test.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { DeadlineExceeded } from '../../../../../../src/process/deadline.ts';
import { dialTimedOut } from '../../../../../../src/sidecar/drivers/ssh/channels/dial-error.ts';

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
