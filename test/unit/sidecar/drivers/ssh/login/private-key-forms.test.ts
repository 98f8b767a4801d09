// Texts in which people store a private key: what OpenSSH takes is taken, and what it refuses is told by its look.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  decryptPrivateKey,
  isEncrypted,
  parsePrivateKey,
} from '../../../../../../src/sidecar/drivers/ssh/login/private-key.ts';

const folder = mkdtempSync(join(tmpdir(), 'portforward-key-forms-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'sec1', format: 'pem' })
  .toString();
const pkcs8 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const rsa = rsaKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const rsaPkcs8 = rsaKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
const publicLine =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvS5AqX2nq8vYv9DhcQ8nRk0nGvS5AqX2nq8vYv9Dhc somebody@example.com\n';

/** True if `ssh-keygen -y` reads it. */
function openSshTakes(text: string): boolean {
  const file = join(folder, 'key');
  writeFileSync(file, text, { mode: 0o600 });
  try {
    execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

test('a private key is found among what stands around it, as OpenSSH finds it', () => {
  const forms: Readonly<Record<string, string>> = {
    'parameters before it': parameters + ec,
    'its public key behind it': rsa + publicLine,
    'bag attributes before it': `Bag Attributes\n    friendlyName: tunnel\nKey Attributes: <No Attributes>\n${rsaPkcs8}`,
    'a comment before it': `# the key of the tunnel\n${rsa}`,
    'two keys': rsa + ec,
  };
  for (const [name, text] of Object.entries(forms)) {
    assert.equal(openSshTakes(text), true, name);
    assert.ok(!('problem' in parsePrivateKey(text)), name);
    assert.equal(isEncrypted(text), false, name);
  }
});

test('blanks at line ends and Windows line ends do no harm', () => {
  for (const text of [
    rsa.replaceAll('\n', '  \n'),
    ec.replaceAll('\n', '\r\n'),
    `\n\n  ${pkcs8.replaceAll('\n', '\n  ')}`,
  ]) {
    assert.ok(!('problem' in parsePrivateKey(text)), text.slice(0, 60));
  }
});

test('what OpenSSH refuses too is told by its look', () => {
  const looks: readonly (readonly [text: string, words: RegExp])[] = [
    [rsa.replaceAll('\n', '\\n'), /backslash and an n/],
    [rsa.replaceAll('\n', ' '), /blanks where its lines end/],
    [Buffer.from(rsa).toString('base64'), /base64 of a key/],
    [Buffer.from(rsa, 'utf16le').toString('latin1'), /UTF-16/],
  ];
  for (const [text, words] of looks) {
    assert.equal(openSshTakes(text), false);
    const parsed = parsePrivateKey(text);
    assert.ok('problem' in parsed);
    assert.match(parsed.detail, words);
  }
});

test('a text of which a character was lost is read or told, wherever it was', () => {
  const whole = decryptPrivateKey(pkcs8);
  assert.ok(typeof whole === 'string');
  const start = whole.indexOf('\n') + 1;
  for (let at = start; at < start + 90; at += 1) {
    const text = whole.slice(0, at) + whole.slice(at + 1);
    const key = isEncrypted(text) ? undefined : parsePrivateKey(text);
    // Of the public half, which stands there twice, one may be broken.
    if (key !== undefined) assert.ok('problem' in key || key.type === 'ssh-ed25519', `without character ${at}`);
  }
});
