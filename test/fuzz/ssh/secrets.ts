// What the ssh driver reads of a Secret: known_hosts, private keys and certificates. The keys are new each time: a failure prints its input.
// Neighbour: ../readers.ts.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { sshString } from '../../../src/sidecar/drivers/ssh/base/ssh-string.ts';
import { parseCertificate } from '../../../src/sidecar/drivers/ssh/login/certificate.ts';
import { parseKnownHosts } from '../../../src/sidecar/drivers/ssh/login/known-hosts.ts';
import { isEncrypted, parsePrivateKey } from '../../../src/sidecar/drivers/ssh/login/private-key.ts';
import type { Subject } from '../subject.ts';

const edPoint = randomBytes(32);
const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(edPoint)]);
const base64 = blob.toString('base64');
const salt = randomBytes(20);
const hashed = createHmac('sha1', salt).update('bastion').digest('base64');

/** A key is trusted only if it stands in the text; nobody's is both trusted and revoked. */
export const knownHosts: Subject = {
  name: 'known_hosts',
  seeds: [
    `bastion ssh-ed25519 ${base64}\n`,
    `|1|${salt.toString('base64')}|${hashed} ssh-ed25519 ${base64} comment\n`,
    `*.example.com,!bad.example.com,[bastion]:2222 ssh-ed25519 ${base64}\r\n# a comment\n\n`,
    `@revoked bastion ssh-ed25519 ${base64}\n@cert-authority * ssh-ed25519 ${base64}\n`,
    `${'*'.repeat(40)}b ssh-ed25519 ${base64}\n`,
  ].map((text) => Buffer.from(text)),
  holds(input) {
    const text = input.toString('utf8');
    const hosts = parseKnownHosts(text);
    const verdict = hosts.verdict('bastion', 22, blob);
    if (verdict === 'trusted')
      assert.ok(text.includes(base64.replace(/=+$/, '')) || decodes(text), 'a key that is not there');
    for (const type of hosts.knownKeyTypes('bastion', 2222)) assert.ok(type.length > 0 && text.includes(type));
    assert.equal(typeof hosts.hasAuthority('bastion', 22), 'boolean');
    assert.notEqual(hosts.verdict('bastion', 22, Buffer.alloc(0)), 'trusted');
    return verdict === 'trusted';
  },
};

/** Base64 is read leniently: blanks end it, other characters are skipped. */
function decodes(text: string): boolean {
  return text.split(/\s+/).some((word) => Buffer.from(word, 'base64').equals(blob));
}

const pem = (type: 'pkcs1' | 'pkcs8' | 'sec1', pair: { privateKey: { export(options: object): string | Buffer } }) =>
  pair.privateKey.export({ type, format: 'pem' }).toString();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');

/** An unencrypted key in OpenSSH's own format. */
function openSshKey(): string {
  const { d = '', x = '' } = ed.privateKey.export({ format: 'jwk' });
  const [secret, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const publicBlob = Buffer.concat([sshString('ssh-ed25519'), sshString(point)]);
  const check = Buffer.alloc(8, 7);
  const both = sshString(Buffer.concat([secret, point]));
  let inner = Buffer.concat([check, publicBlob, both, sshString('tunnel')]);
  for (let padding = 1; inner.length % 8 !== 0; padding++) inner = Buffer.concat([inner, Buffer.of(padding)]);
  const head = [Buffer.from('openssh-key-v1\0'), sshString('none'), sshString('none'), sshString('')];
  const bytes = Buffer.concat([...head, Buffer.of(0, 0, 0, 1), sshString(publicBlob), sshString(inner)]);
  const lines = bytes.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** A key that can sign, or a clause without any of the text in it. */
export const privateKeys: Subject = {
  name: 'private keys',
  seeds: [pem('pkcs1', rsa), pem('sec1', ec), pem('pkcs8', ed), pem('pkcs8', ec), openSshKey()].map((text) =>
    Buffer.from(text),
  ),
  holds(input) {
    const text = input.toString('utf8');
    // Decrypting is a thread's work, with a deadline.
    if (isEncrypted(text)) return false;
    const key = parsePrivateKey(text);
    if ('problem' in key) {
      assert.match(key.detail, /^[a-zA-Z0-9,()’ -]+$/);
      return false;
    }
    assert.ok(key.getPublicSSH().length > 0 && key.type.length > 0);
    return true;
  },
};

function certificate(): string {
  const type = 'ssh-ed25519-cert-v01@openssh.com';
  const number = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return bytes;
  };
  const extensions = Buffer.concat([sshString('permit-port-forwarding'), sshString('')]);
  const fields = [
    sshString(type),
    sshString(randomBytes(32)),
    sshString(edPoint),
    number(1n),
    Buffer.of(0, 0, 0, 1),
    sshString('id'),
    sshString(sshString('tunnel')),
    number(0n),
    number(2n ** 64n - 1n),
    sshString(''),
    sshString(extensions),
    sshString(''),
    sshString(blob),
    sshString('signature'),
  ];
  return `${type} ${Buffer.concat(fields).toString('base64')} tunnel\n`;
}

export const certificates: Subject = {
  name: 'certificates',
  seeds: [certificate(), certificate().trimEnd()].map((text) => Buffer.from(text)),
  holds(input, random) {
    // Half of them are broken below the base64, which the first one does not reach.
    const [type = '', data = ''] = input.toString('utf8').split(/\s+/);
    const bytes = Buffer.from(data, 'base64');
    if (random() < 0.5 && bytes.length > 0) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const parsed = parseCertificate(`${type} ${bytes.toString('base64')}`);
    if (parsed === undefined) return false;
    assert.ok(parsed.validAfter >= 0 && parsed.validBefore >= 0);
    assert.ok(parsed.principals.every((name) => name.length <= bytes.length));
    assert.ok(parsed.blob.equals(bytes));
    return true;
  },
};
