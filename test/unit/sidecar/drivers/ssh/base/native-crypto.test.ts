import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { nativeCrypto } from '../../../../../../src/sidecar/drivers/ssh/base/ssh2-protocol.ts';

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
