import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../../../../lab/base/eventually.ts';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { secretKeys } from '../../../../../../src/contract/secret-keys.ts';
import { readSecretFiles, watchSecretFiles } from '../../../../../../src/sidecar/base/secret-files.ts';
import { CredentialStore } from '../../../../../../src/sidecar/drivers/ssh/login/credentials.ts';
import { parsePrivateKey } from '../../../../../../src/sidecar/drivers/ssh/login/private-key.ts';

const root = mkdtempSync(join(tmpdir(), 'portforward-credentials-'));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function directory(files: Readonly<Record<string, string>> = {}): string {
  const path = join(root, String(count++));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const pkcs8 = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const load = (path: string): ReturnType<CredentialStore['current']> =>
  new CredentialStore({ secretName: 'orders-bastion', directory: path }).current();

async function fails(path: string, code: string, words: RegExp, secrets: readonly string[] = []): Promise<void> {
  await assert.rejects(load(path), (error) => {
    assert.ok(error instanceof TunnelError);
    assert.equal(error.code, code);
    assert.match(error.message, /Secret orders-bastion/);
    assert.match(error.message, words);
    for (const secret of secrets) assert.ok(!error.message.includes(secret));
    return true;
  });
}

describe('credentials', () => {
  test('a directory that is not there, or has no documented key, is SecretNotFound', async () => {
    await fails(join(root, 'nowhere'), 'SecretNotFound', /does not exist/);
    await fails(directory(), 'SecretNotFound', /none of the keys/);
    await fails(directory({ 'tls.crt': 'x' }), 'SecretNotFound', /none of the keys/);
  });

  test('a Secret without key and password is SecretKeyMissing', async () => {
    await fails(
      directory({ known_hosts: 'x', passphrase: 'y' }),
      'SecretKeyMissing',
      /neither ssh-privatekey \(or identity\) nor password/,
    );
    await fails(directory({ password: '\n' }), 'SecretKeyMissing', /neither/);
  });

  test('a key that cannot be read is PrivateKeyInvalid, and none of it is in the sentence', async () => {
    const key = pkcs8();
    const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
    await fails(directory({ 'ssh-privatekey': 'nonsense-text' }), 'PrivateKeyInvalid', /ssh-privatekey .* format/, [
      'nonsense',
    ]);
    await fails(directory({ identity: key.slice(0, 80) }), 'PrivateKeyInvalid', /identity/, [key.slice(30, 60)]);
    await fails(directory({ 'ssh-privatekey': publicKey }), 'PrivateKeyInvalid', /is a public key/, ['AAAA']);
    await fails(directory({ 'ssh-privatekey': 'PuTTY-User-Key-File-3: x' }), 'PrivateKeyInvalid', /puttygen/);
    const x25519 = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await fails(directory({ 'ssh-privatekey': x25519 }), 'PrivateKeyInvalid', /x25519/);
    await fails(
      directory({ 'ssh-privatekey': key, 'ssh-publickey-cert': publicKey }),
      'PrivateKeyInvalid',
      /ssh-publickey-cert/,
    );
  });

  test('an encrypted PKCS#8 key needs its passphrase', async () => {
    const key = createPrivateKey(pkcs8());
    const text = key
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
      .toString();
    await fails(directory({ 'ssh-privatekey': text }), 'PassphraseWrong', /there is no passphrase/);
    await fails(directory({ 'ssh-privatekey': text, passphrase: 'wrong one' }), 'PassphraseWrong', /not opened/, [
      'wrong one',
    ]);
    const { key: parsed } = await load(directory({ 'ssh-privatekey': text, passphrase: 'open sesame\n' }));
    assert.equal(parsed?.type, 'ssh-ed25519');
  });

  test('reads PKCS#8 of every type of key that ssh uses, and signs with it', () => {
    const keys = {
      'ssh-ed25519': generateKeyPairSync('ed25519'),
      'ssh-rsa': generateKeyPairSync('rsa', { modulusLength: 2048 }),
      'ecdsa-sha2-nistp256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      'ecdsa-sha2-nistp384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      'ecdsa-sha2-nistp521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    };
    for (const [type, { privateKey }] of Object.entries(keys)) {
      const parsed = parsePrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      assert.ok(!('problem' in parsed), type);
      assert.equal(parsed.type, type);
      assert.equal(parsed.verify('data', parsed.sign('data')), true, type);
    }
  });

  test('forgives Windows line ends and a missing last newline', () => {
    const text = pkcs8();
    for (const variant of [text.replaceAll('\n', '\r\n'), text.trimEnd(), `\n${text}\n\n`]) {
      assert.ok(!('problem' in parsePrivateKey(variant)));
    }
  });

  test('prefers ssh-privatekey over identity, and drops one newline of a password', async () => {
    const material = await load(
      directory({ 'ssh-privatekey': pkcs8(), identity: 'never read', password: ' pass word \n' }),
    );
    assert.ok(material.key);
    assert.equal(material.password, ' pass word ');
  });

  test('parses once per content', async () => {
    const path = directory({ 'ssh-privatekey': pkcs8() });
    const store = new CredentialStore({ secretName: 's', directory: path });
    const first = await store.current();
    assert.equal(await store.current(), first);
    writeFileSync(join(path, 'known_hosts'), 'h ssh-ed25519 AAAA');
    assert.notEqual(await store.current(), first);
    await assert.doesNotReject(store.current());
  });

  test('keeps what each hop accepted, and offers it to a hop that has accepted nothing yet', async () => {
    const path = directory({ 'ssh-privatekey': pkcs8() });
    const store = new CredentialStore({ secretName: 's', directory: path });
    const first = await store.current();
    store.accept('bastion a', first);
    store.accept('jump host', first);
    writeFileSync(join(path, 'ssh-privatekey'), pkcs8());
    const second = await store.current();
    assert.equal(store.accepted('bastion a', first), undefined, 'it is what is offered anyway');
    store.accept('jump host', second);
    assert.equal(store.accepted('bastion a', second), first);
    assert.equal(store.accepted('jump host', second), undefined);
    assert.equal(store.accepted('jump host'), second);
    assert.equal(store.accepted('bastion b', second), first);
    store.forget();
    assert.equal(store.accepted('bastion a', second), undefined);
  });

  test('heals when the Secret appears', async () => {
    const path = join(root, 'later');
    const store = new CredentialStore({ secretName: 's', directory: path });
    await assert.rejects(store.current(), { code: 'SecretNotFound' });
    mkdirSync(path);
    writeFileSync(join(path, 'identity'), pkcs8());
    assert.ok((await store.current()).key);
  });
});

/** Resolves once a watcher of these files has read their present content: its reading began before ours. */
async function primed(path: string): Promise<void> {
  await sleep(100);
  await readSecretFiles(path, secretKeys.ssh);
}

/** Resolves when `changed` was called, with the milliseconds until then. @throws after 20 s. */
async function change(path: string, make: () => void): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = watchSecretFiles(path, secretKeys.ssh, resolve);
  const timer = setTimeout(() => reject(new Error('the change was not seen')), 20_000);
  try {
    await primed(path);
    const before = performance.now();
    make();
    await promise;
    return performance.now() - before;
  } finally {
    clearTimeout(timer);
    stop();
  }
}

describe('watching a Secret’s files', () => {
  test('sees the kubelet’s swap of ..data at once', async (t) => {
    const path = directory();
    const version = (name: string, text: string): void => {
      mkdirSync(join(path, name));
      writeFileSync(join(path, name, 'password'), text);
      symlinkSync(name, join(path, '..data_tmp'));
      renameSync(join(path, '..data_tmp'), join(path, '..data'));
    };
    version('..1', 'one');
    symlinkSync(join('..data', 'password'), join(path, 'password'));
    assert.equal((await readSecretFiles(path, secretKeys.ssh)).files.password, 'one');
    const took = await change(path, () => version('..2', 'two'));
    t.diagnostic(`after ${took.toFixed(0)} ms`);
    assert.equal((await readSecretFiles(path, secretKeys.ssh)).files.password, 'two');
  });

  test('sees a plain file’s change at once', async (t) => {
    const path = directory({ password: 'one' });
    const took = await change(path, () => writeFileSync(join(path, 'password'), 'two'));
    t.diagnostic(`after ${took.toFixed(0)} ms`);
  });

  test('sees a directory that is created later', async () => {
    const path = join(root, 'made-later');
    await change(path, () => {
      mkdirSync(path);
      writeFileSync(join(path, 'password'), 'x');
    });
  });

  test('says nothing when the content is the same', async () => {
    const path = directory({ password: 'one' });
    let calls = 0;
    const stop = watchSecretFiles(path, secretKeys.ssh, () => calls++);
    await primed(path);
    writeFileSync(join(path, 'password'), 'one');
    writeFileSync(join(path, 'unrelated'), 'x');
    await sleep(600);
    stop();
    assert.equal(calls, 0);
  });

  test('joins the writes of one change into one call', async () => {
    // If our own writes took so long that the watcher may have read between them, try again.
    for (let attempt = 1; ; attempt++) {
      const path = directory({ password: 'one' });
      let calls = 0;
      const began = performance.now();
      const stop = watchSecretFiles(path, secretKeys.ssh, () => calls++);
      await primed(path);
      const first = performance.now();
      for (const name of ['password', 'passphrase', 'known_hosts']) {
        writeFileSync(join(path, name), 'two');
        await sleep(20);
      }
      const last = performance.now();
      await eventually('the change is seen', () => calls > 0);
      await sleep(600);
      stop();
      const inTime = last - first < 150 && last - began < 450;
      if (!inTime && attempt < 5) continue;
      return assert.equal(calls, 1);
    }
  });
});
