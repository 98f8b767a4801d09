// Turns the private keys that people store into the one form that ssh2 signs with. Reads OpenSSH (new and old), PEM of RSA and EC, and
// PKCS#8, each encrypted or not. Pure; decrypting blocks for up to seconds (bcrypt), so private-key-worker.ts does it in a thread.
import { createPrivateKey, type JsonWebKey, type KeyObject, randomBytes } from 'node:crypto';
import ssh2, { type ParsedKey } from 'ssh2';
import { defined } from '../../../../contract/defined.ts';
import { leadingString, sshNumber, sshString } from '../base/ssh-string.ts';

/** Why a key cannot be used; `detail` is a clause of a sentence and never contains any of the key. */
export interface KeyProblem {
  readonly problem: 'key' | 'passphrase';
  readonly detail: string;
}

/**
 * The first private key of a text, as OpenSSH finds it: without parameters or comments before it, a public key or certificate behind it,
 * and blanks around its lines. The whole text if there is none.
 */
function privateKeyBlock(text: string): string {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const begin = lines.findIndex((line) => /^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----$/.test(line));
  const end = lines.indexOf(lines[begin]?.replace('BEGIN', 'END') ?? '', begin);
  return `${(begin === -1 || end === -1 ? lines : lines.slice(begin, end + 1)).join('\n').trim()}\n`;
}

/** What a text looks like that OpenSSH refuses too; undefined if it looks like no known mistake. */
function likelyMistake(text: string): string | undefined {
  if (/-\0-\0-\0/.test(text)) return 'is text in UTF-16 (save it as UTF-8)';
  if (/-----BEGIN [A-Z0-9 ]+-----\\n/.test(text))
    return 'has a backslash and an n where its lines end (store real line ends)';
  if (/-----BEGIN [A-Z0-9 ]+----- +[A-Za-z0-9+/=]/.test(text))
    return 'has blanks where its lines end (store real line ends)';
  if (/^[A-Za-z0-9+/=\s]+$/.test(text) && Buffer.from(text, 'base64').includes('PRIVATE KEY-----')) {
    return 'is base64 of a key (encode it once only, or use stringData)';
  }
  return undefined;
}

/** True if a passphrase is needed; also false for a text that is not a private key. */
export function isEncrypted(whole: string): boolean {
  const text = privateKeyBlock(whole);
  if (/ENCRYPTED/.test(text)) return true;
  const cipher = cipherOf(text);
  return cipher !== undefined && cipher !== 'none';
}

/** Of a key in OpenSSH's own format; undefined for any other text. */
function cipherOf(text: string): string | undefined {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+?)-----END/.exec(text)?.[1];
  if (body === undefined) return undefined;
  const data = Buffer.from(body, 'base64');
  const magicBytes = 'openssh-key-v1\0'.length;
  if (data.length < magicBytes + 8) return undefined;
  // The first string is the name of the cipher.
  return leadingString(data, magicBytes) ?? 'unreadable';
}

/** The key, ready to sign. */
export function parsePrivateKey(text: string, passphrase?: string): ParsedKey | KeyProblem {
  const mistake = likelyMistake(text);
  if (mistake !== undefined) return { problem: 'key', detail: mistake };
  const trimmed = privateKeyBlock(text);
  if (cipherOf(trimmed)?.startsWith('chacha20') === true) {
    return {
      problem: 'key',
      detail:
        'is encrypted with chacha20-poly1305, which is not read here (encrypt it with ssh-keygen -p -Z aes256-ctr)',
    };
  }
  if (trimmed.startsWith('PuTTY-User-Key-File')) {
    return { problem: 'key', detail: 'is in PuTTY’s format (convert it with puttygen -O private-openssh)' };
  }
  if (/-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.test(trimmed)) return parsePkcs8(trimmed, passphrase);
  const parsed = parse(trimmed, passphrase);
  if (parsed instanceof Error) return problemOf(trimmed, parsed.message, passphrase);
  if (!parsed.isPrivateKey()) return { problem: 'key', detail: 'is a public key' };
  if (parsed.type === 'ssh-dss') return { problem: 'key', detail: 'is a DSA key, which sshd no longer accepts' };
  return parsed;
}

/** The key as unencrypted OpenSSH text: the form in which a worker returns it. */
export function decryptPrivateKey(text: string, passphrase?: string): string | KeyProblem {
  const key = parsePrivateKey(text, passphrase);
  return 'problem' in key ? key : openSshText(createPrivateKey(key.getPrivatePEM()));
}

function parse(text: string, passphrase?: string): ParsedKey | Error {
  try {
    // Some broken texts give neither a key nor an error.
    const key: ParsedKey | Error | ParsedKey[] | undefined = ssh2.utils.parseKey(text.trimEnd(), passphrase);
    return (Array.isArray(key) ? key[0] : key) ?? new Error('no key');
  } catch (error) {
    // With a wrong passphrase, the old PEM format throws out of OpenSSL.
    return error instanceof Error ? error : new Error('unreadable');
  }
}

function parsePkcs8(text: string, passphrase?: string): ParsedKey | KeyProblem {
  let key: KeyObject;
  try {
    key = createPrivateKey(defined({ key: text, passphrase }));
  } catch (error) {
    return problemOf(text, error instanceof Error ? error.message : '', passphrase);
  }
  const converted = openSshText(key);
  const parsed = typeof converted === 'string' ? parse(converted) : converted;
  return parsed instanceof Error ? { problem: 'key', detail: 'cannot be read' } : parsed;
}

function problemOf(text: string, message: string, passphrase: string | undefined): KeyProblem {
  if (isEncrypted(text) && !/^Malformed OpenSSH private key$|Unsupported/.test(message)) {
    const detail =
      passphrase === undefined ? 'is encrypted, and there is no passphrase' : 'is not opened by the passphrase';
    return { problem: 'passphrase', detail };
  }
  return { problem: 'key', detail: 'is cut off, or in a format that ssh does not use' };
}

/** openssh-key-v1 (OpenSSH's PROTOCOL.key), unencrypted. */
function openSshText(key: KeyObject): string | KeyProblem {
  const parts = sshParts(key);
  if (parts === undefined)
    return { problem: 'key', detail: `has the type ${key.asymmetricKeyType}, which ssh does not use` };
  const check = randomBytes(4);
  let secret = Buffer.concat([check, check, sshString(parts.type), ...parts.secret, sshString('')]);
  for (let padding = 1; secret.length % 8 !== 0; padding++) secret = Buffer.concat([secret, Buffer.of(padding)]);
  const publicBlob = Buffer.concat([sshString(parts.type), ...parts.public]);
  const blob = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    sshString('none'),
    sshString('none'),
    sshString(''),
    Buffer.of(0, 0, 0, 1),
    sshString(publicBlob),
    sshString(secret),
  ]);
  const lines = blob.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----`;
}

interface SshParts {
  readonly type: string;
  readonly public: readonly Buffer[];
  readonly secret: readonly Buffer[];
}

function sshParts(key: KeyObject): SshParts | undefined {
  const jwk = jwkOf(key);
  if (jwk === undefined) return undefined;
  const bytes = (name: 'n' | 'e' | 'd' | 'p' | 'q' | 'qi' | 'x' | 'y') => Buffer.from(jwk[name] ?? '', 'base64url');
  if (jwk.kty === 'RSA') {
    const [n, e, d, qi, p, q] = (['n', 'e', 'd', 'qi', 'p', 'q'] as const).map((name) => sshNumber(bytes(name)));
    if (!n || !e || !d || !qi || !p || !q) return undefined;
    return { type: 'ssh-rsa', public: [e, n], secret: [n, e, d, qi, p, q] };
  }
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    const point = sshString(bytes('x'));
    return {
      type: 'ssh-ed25519',
      public: [point],
      secret: [point, sshString(Buffer.concat([bytes('d'), bytes('x')]))],
    };
  }
  const curve = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' }[jwk.crv ?? ''];
  if (jwk.kty !== 'EC' || curve === undefined) return undefined;
  const point = sshString(Buffer.concat([Buffer.of(4), bytes('x'), bytes('y')]));
  return {
    type: `ecdsa-sha2-${curve}`,
    public: [sshString(curve), point],
    secret: [sshString(curve), point, sshNumber(bytes('d'))],
  };
}

function jwkOf(key: KeyObject): JsonWebKey | undefined {
  try {
    return key.export({ format: 'jwk' });
  } catch {
    return undefined;
  }
}
