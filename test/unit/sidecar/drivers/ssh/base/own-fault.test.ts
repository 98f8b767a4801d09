import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { ConnectionClosed, isOwnFault, ownFault } from '../../../../../../src/sidecar/drivers/ssh/base/own-fault.ts';

test('an exception of ssh2’s crypto, of Node or of this driver is our own fault', () => {
  const openssl = Object.assign(new Error('unsupported'), { code: 'ERR_OSSL_EVP_UNSUPPORTED' });
  for (const error of [new Error('OpenSSL error'), new TypeError('x is not a function'), openssl]) {
    assert.equal(isOwnFault(error), true, String(error));
  }
  assert.equal(ownFault('bastion a:22', openssl).code, 'InternalError');
});

test('what a far side or the network causes is not', () => {
  const causes = [
    new Error('Bad packet length'),
    new Error('Invalid MAC'),
    new ConnectionClosed(),
    new TunnelError('BastionLost', 'lost'),
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    Object.assign(new Error('Too many authentication failures'), { code: 2 }),
    Object.assign(new Error('Handshake failed'), { level: 'handshake' }),
    undefined,
  ];
  for (const error of causes) assert.equal(isOwnFault(error), false, String(error));
});
