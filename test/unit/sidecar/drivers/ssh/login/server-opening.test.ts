import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sshString } from '../../../../../../src/sidecar/drivers/ssh/base/ssh-string.ts';
import { ServerOpening } from '../../../../../../src/sidecar/drivers/ssh/login/server-opening.ts';

const lists = ['curve25519-sha256', 'ssh-ed25519,ssh-rsa', 'aes128-ctr', 'aes256-ctr', 'hmac-sha1', 'hmac-sha2-256'];

function kexInit(): Buffer {
  const payload = Buffer.concat([
    Buffer.of(20),
    Buffer.alloc(16),
    ...lists.map((list) => sshString(list)),
    Buffer.alloc(21),
  ]);
  const padding = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(1 + payload.length + padding.length);
  return Buffer.concat([length, Buffer.of(padding.length), payload, padding]);
}

const offer = {
  keyExchanges: ['curve25519-sha256'],
  hostKeys: ['ssh-ed25519', 'ssh-rsa'],
  ciphers: ['aes256-ctr'],
  macs: ['hmac-sha2-256'],
};

test('version line and offer are found after lines of text, however the bytes are cut', () => {
  const notice = 'Authorised use only.\r\nAll is logged.\r\n';
  const bytes = Buffer.concat([Buffer.from(`${notice}SSH-2.0-OpenSSH_9.2\r\n`), kexInit(), Buffer.from('encrypted')]);
  for (const size of [1, 7, 64, bytes.length]) {
    const opening = new ServerOpening();
    for (let at = 0; at < bytes.length; at += size) opening.read(bytes.subarray(at, at + size));
    assert.equal(opening.hasVersion, true);
    assert.deepEqual(opening.offer, offer);
    assert.equal(opening.text, notice);
    assert.equal(opening.version, 'SSH-2.0-OpenSSH_9.2');
  }
});

test('a text without a version line is kept as text', () => {
  const opening = new ServerOpening();
  opening.read(Buffer.from('Exceeded MaxStartups\r\n'));
  assert.equal(opening.hasVersion, false);
  assert.equal(opening.text, 'Exceeded MaxStartups\r\n');
});

test('an offer that is cut off or malformed is none', () => {
  for (const packet of [kexInit().subarray(0, 40), Buffer.from('ffffffff0014ffffffff', 'hex')]) {
    const opening = new ServerOpening();
    opening.read(Buffer.concat([Buffer.from('SSH-2.0-x\n'), packet]));
    assert.equal(opening.hasVersion, true);
    assert.equal(opening.offer, undefined);
  }
});
