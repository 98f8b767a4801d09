import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createDecipheriv, type DecipherGCM, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { givesKeys, nativeCrypto } from '../../../../../../src/sidecar/drivers/ssh/base/ssh2-protocol.ts';

/** V8's own collections run outside of any context, unlike those of `gc()`: only they show the abort. */
const freeCiphers = `
const { createCipher, CIPHER_INFO } = require('ssh2/lib/protocol/crypto.js');
const cipher = { cipherInfo: CIPHER_INFO['aes128-gcm@openssh.com'], cipherIV: Buffer.alloc(12), cipherKey: Buffer.alloc(16) };
let rounds = 0;
const timer = setInterval(() => {
  for (let i = 0; i < 200; i++) createCipher({ outbound: { onWrite() {}, seqno: 0, ...cipher } }).free();
  globalThis.garbage = Array.from({ length: 300 }, () => new Array(5000).fill(rounds));
  if (++rounds === 60) clearInterval(timer);
}, 1);`;

test('the ciphers of ended sessions are collected without ending the process', async (t) => {
  if (!nativeCrypto) t.diagnostic('ssh2’s native crypto is not built here; its JavaScript ciphers are tried');
  await assert.doesNotReject(promisify(execFile)(process.execPath, ['-e', freeCiphers], { timeout: 30_000 }));
});

interface WithKeys {
  readonly key: () => Buffer;
  readonly iv: () => Buffer;
}

interface Encrypting {
  readonly _instance?: WithKeys;
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Buffer): void;
  free(): void;
}

for (const [name, keyBytes] of [
  ['aes128-gcm@openssh.com', 16],
  ['aes256-gcm@openssh.com', 32],
] as const) {
  test(`${name} tells its key and the nonce of its next packet, until it is freed`, (t) => {
    if (!nativeCrypto) return t.skip('ssh2’s native crypto is not built here');
    const { createCipher, CIPHER_INFO } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js') as {
      readonly createCipher: (config: object) => Encrypting;
      readonly CIPHER_INFO: Readonly<Record<string, object>>;
    };
    const cipherKey = randomBytes(keyBytes);
    // The next packet but one carries into every byte of the counter.
    const cipherIV = Buffer.concat([randomBytes(4), Buffer.from('00ffffffffffffff', 'hex')]);
    const written: Buffer[] = [];
    const onWrite = (bytes: Buffer): void => void written.push(Buffer.from(bytes));
    const outbound = { onWrite, seqno: 0, cipherInfo: CIPHER_INFO[name], cipherIV, cipherKey };
    const cipher = createCipher({ outbound });
    const { _instance: instance } = cipher;
    assert.ok(instance !== undefined);
    assert.deepEqual([instance.key(), instance.iv()], [cipherKey, cipherIV]);
    for (const counter of ['0100000000000000', '0100000000000001']) {
      const nonce: Buffer = instance.iv();
      const plain = cipher.allocPacket(20);
      const body = Buffer.from(plain.subarray(4, -16));
      cipher.encrypt(plain);
      // Node, with what was told before, reads what was sealed.
      const packet = written.pop() ?? Buffer.alloc(0);
      const decipher: DecipherGCM = createDecipheriv(
        keyBytes === 16 ? 'aes-128-gcm' : 'aes-256-gcm',
        instance.key(),
        nonce,
      );
      decipher.setAAD(packet.subarray(0, 4));
      decipher.setAuthTag(packet.subarray(-16));
      const opened: Buffer = Buffer.concat([decipher.update(packet.subarray(4, -16)), decipher.final()]);
      assert.deepEqual(opened, body);
      assert.equal(instance.iv().subarray(4).toString('hex'), counter);
    }
    cipher.free();
    assert.equal(instance.key().length, 0);
    return undefined;
  });
}

test('a native crypto without our getters gives no keys, which is known before a session asks for them', (t) => {
  if (!nativeCrypto) {
    assert.equal(givesKeys(), false);
    return t.skip('ssh2’s native crypto is not built here');
  }
  assert.equal(givesKeys(), true);
  const binding = createRequire(import.meta.url)('ssh2/lib/protocol/crypto/build/Release/sshcrypto.node') as {
    readonly AESGCMCipher: { readonly prototype: Partial<WithKeys> };
  };
  const { prototype } = binding.AESGCMCipher;
  const own = Object.getOwnPropertyDescriptor(prototype, 'key');
  assert.ok(own !== undefined);
  Reflect.deleteProperty(prototype, 'key');
  try {
    assert.equal(givesKeys(), false);
  } finally {
    Object.defineProperty(prototype, 'key', own);
  }
  return undefined;
});
