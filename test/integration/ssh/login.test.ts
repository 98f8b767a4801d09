// Every kind of credential that people store, every form of known_hosts, and what happens when they change under a running tunnel.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { generateKey, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { createLog, silentLog } from '../../../src/process/log.ts';
import { createSshDriver } from '../../../src/sidecar/drivers/ssh/driver.ts';
import { assertSome } from '../../support/assert-every.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

/** Signs a user certificate with a new authority that `sshd` (TrustedUserCAKeys) trusts. */
function certify(authority: string, publicKeyFile: string, validity: string): string {
  execFileSync('ssh-keygen', ['-q', '-s', authority, '-I', 'test', '-n', 'tunnel', '-V', validity, publicKeyFile]);
  return readFileSync(publicKeyFile.replace(/\.pub$/, '-cert.pub'), 'utf8');
}

describe('logging in', () => {
  let sshd: Sshd;
  let secret: SecretDirectory;
  before(async () => {
    sshd = await startSshd({ password: 'correct horse' });
  });
  after(() => sshd.stop());
  afterEach(() => secret[Symbol.dispose]());

  async function letsIn(files: Readonly<Record<string, string>>): Promise<void> {
    secret = new SecretDirectory({ known_hosts: sshd.knownHosts(), ...files });
    const session = await connectOnce(sshConfig([hopTo(sshd, secret)]));
    await session.close();
  }

  for (const type of ['ed25519', 'rsa', 'ecdsa'] as const) {
    for (const format of ['RFC4716', 'PEM', 'PKCS8'] as const) {
      test(`takes an ${type} key in the format ${format}, plain and encrypted`, async () => {
        for (const passphrase of ['', 'open sesame']) {
          const key = await generateKey(sshd.directory, { type, format, passphrase });
          sshd.authorize([key.publicKey]);
          await letsIn({ 'ssh-privatekey': key.privateKey, passphrase: `${passphrase}\n` });
          if (passphrase === '') secret[Symbol.dispose]();
        }
      });
    }
  }

  test('does not stop the event loop while a key of many rounds is decrypted', async (t) => {
    const key = await generateKey(sshd.directory, { passphrase: 'open sesame', rounds: 60 });
    sshd.authorize([key.publicKey]);
    // Only this thread's own time counts: a busy machine does not stop the loop.
    const spent = (): number => {
      const { user, system } = process.threadCpuUsage();
      return (user + system) / 1000;
    };
    let last = spent();
    let longest = 0;
    const timer = setInterval(() => {
      longest = Math.max(longest, spent() - last);
      last = spent();
    }, 10);
    await letsIn({ identity: key.privateKey, passphrase: 'open sesame' });
    clearInterval(timer);
    t.diagnostic(`${longest.toFixed(0)} ms at once`);
    assert.ok(longest < 300, `the event loop stood still for ${longest} ms`);
  });

  test('takes a password, without the newline that an editor adds', async () => {
    await letsIn({ password: 'correct horse\n' });
  });

  test('takes the password after a key that is refused', async () => {
    const stranger = await generateKey(sshd.directory, { name: 'stranger' });
    await letsIn({ 'ssh-privatekey': stranger.privateKey, password: 'correct horse' });
  });

  test('gives key and password if sshd requires both', async (t) => {
    const strict = await startSshd({ password: 'pw', config: ['AuthenticationMethods publickey,password'] });
    t.after(() => strict.stop());
    const key = await generateKey(strict.directory);
    strict.authorize([key.publicKey]);
    secret = new SecretDirectory({
      'ssh-privatekey': key.privateKey,
      password: 'pw',
      known_hosts: strict.knownHosts(),
    });
    const session = await connectOnce(sshConfig([hopTo(strict, secret)]));
    await session.close();
  });

  for (const type of ['ed25519', 'rsa', 'ecdsa'] as const) {
    test(`presents a user certificate over an ${type} key, and falls back to the plain key when it has expired`, async (t) => {
      const certified = await startSshd();
      t.after(() => certified.stop());
      const authority = await generateKey(certified.directory, { name: 'authority' });
      const key = await generateKey(certified.directory, { type, name: `certified-${type}` });
      certified.authorize([`cert-authority ${authority.publicKey}`]);
      const certificate = certify(authority.file, `${key.file}.pub`, '+1h');
      const hosts = certified.knownHosts();
      secret = new SecretDirectory({
        'ssh-privatekey': key.privateKey,
        'ssh-publickey-cert': certificate,
        known_hosts: hosts,
      });
      await (await connectOnce(sshConfig([hopTo(certified, secret)]))).close();
      await eventually('its login is logged', () =>
        certified.log().some((line) => /Accepted publickey .*-CERT/.test(line)),
      );
      secret.write({ 'ssh-publickey-cert': certify(authority.file, `${key.file}.pub`, '20200101:20200102') });
      await assert.rejects(connectOnce(sshConfig([hopTo(certified, secret)])), {
        code: 'AuthenticationFailed',
        message: /expired/,
      });
      certified.authorize([key.publicKey]);
      await (await connectOnce(sshConfig([hopTo(certified, secret)]))).close();
    });
  }
});

describe('knowing the host', () => {
  let sshd: Sshd;
  let secret: SecretDirectory;
  before(async () => {
    sshd = await startSshd();
    const key = await generateKey(sshd.directory);
    sshd.authorize([key.publicKey]);
    secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey });
  });
  after(async () => {
    await sshd.stop();
    secret[Symbol.dispose]();
  });

  const connects = async (knownHosts: string): Promise<void> => {
    await (await connectOnce(sshConfig([hopTo(sshd, secret)], { knownHosts }))).close();
  };

  test('by the output of ssh-keyscan, plain and hashed', async () => {
    for (const args of [[], ['-H']]) {
      await connects(
        execFileSync('ssh-keyscan', [...args, '-p', String(sshd.port), '127.0.0.1'], {
          encoding: 'utf8',
          stdio: 'pipe',
        }),
      );
    }
  });

  test('by a file that ssh-keygen -H hashed', async () => {
    const file = join(secret.directory, 'to-hash');
    writeFileSync(file, sshd.knownHosts());
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'pipe' });
    const hashed = readFileSync(file, 'utf8');
    assert.ok(!hashed.includes('127.0.0.1'));
    await connects(hashed);
  });

  test('by one type of key only, although the host prefers others', async () => {
    for (const type of ['rsa', 'ecdsa', 'ed25519'] as const) {
      await connects(sshd.knownHosts({ types: [type] }));
    }
  });

  test('by a wildcard, a bare name, and beside older keys', async () => {
    await connects(sshd.knownHosts({ name: '[127.0.0.*]:*' }));
    await connects(sshd.knownHosts({ name: '127.0.0.1' }));
    const earlier = await generateKey(sshd.directory, { name: 'earlier' });
    await connects(`[127.0.0.1]:${sshd.port} ${earlier.publicKey}\n${sshd.knownHosts({ types: ['ed25519'] })}`);
  });

  test('not by the hash of another name', async () => {
    const salt = randomBytes(20);
    const hash = createHmac('sha1', salt).update('[127.0.0.2]:22').digest('base64');
    const lines = sshd.knownHosts({ name: `|1|${salt.toString('base64')}|${hash}` });
    await assert.rejects(connects(lines), { code: 'HostKeyUnknown' });
  });

  test('not by an authority’s line, and the sentence says why', async () => {
    const lines = sshd.knownHosts({ name: '*', types: ['ed25519'] });
    await assert.rejects(connects(`@cert-authority ${lines}`), { code: 'HostKeyUnknown', message: /@cert-authority/ });
  });

  test('not at all if operator and document say so', async () => {
    await (await connectOnce(sshConfig([hopTo(sshd, secret)], { hostKeyPolicy: 'InsecureIgnore' }))).close();
  });
});

describe('a Secret that changes', () => {
  test('is reported once and used at once, and a broken one does not end a working session', async (t) => {
    const sshd = await startSshd();
    t.after(() => sshd.stop());
    const [first, second, stranger] = await Promise.all(
      ['first', 'second', 'stranger'].map((name) => generateKey(sshd.directory, { name })),
    );
    assert.ok(first && second && stranger);
    sshd.authorize([first.publicKey, second.publicKey]);
    const secret = new SecretDirectory({ 'ssh-privatekey': first.privateKey, known_hosts: sshd.knownHosts() });
    const lines: string[] = [];
    const log = createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } });
    const driver = createSshDriver(sshConfig([hopTo(sshd, secret)]), { podUid: 'test', log });
    t.after(async () => {
      await driver.close();
      secret[Symbol.dispose]();
    });
    const [route] = await driver.routes({ signal: AbortSignal.timeout(30_000) });
    assert.ok(route);
    const connect = () => driver.connect(route, { signal: AbortSignal.timeout(30_000), log: silentLog() });
    let changes = 0;
    driver.onCredentialsChange(() => changes++);

    const working = await connect();
    await sleep(100);
    secret.write({ 'ssh-privatekey': second.privateKey });
    const told = await eventually('the change is told', () => changes > 0);
    t.diagnostic(`told after ${told.toFixed(0)} ms`);
    await sleep(1000);
    assert.equal(changes, 1);
    const rotated = await connect();
    const fingerprint =
      execFileSync('ssh-keygen', ['-lf', `${second.file}.pub`], { encoding: 'utf8' }).split(' ')[1] ?? '';
    await eventually('the login with the new key is logged', () =>
      sshd.log().some((line) => line.includes('Accepted publickey') && line.includes(fingerprint)),
    );

    for (const botched of [stranger.privateKey, 'not a key']) {
      secret.write({ 'ssh-privatekey': botched });
      await (await connect()).close();
    }
    secret.remove('ssh-privatekey');
    await (await connect()).close();
    assertSome(
      lines,
      (line) => line.includes('"level":"warn"') && line.includes('refused'),
      'the refusal is logged as a warning',
    );
    assert.equal(working.signal.aborted, false);
    assert.equal(rotated.signal.aborted, false);
    await Promise.all([working.close(), rotated.close()]);
  });

  test('is known to a jump host first, and the bastions behind it still let the one before in', async (t) => {
    const [jump, first, second] = await Promise.all([startSshd(), startSshd(), startSshd()]);
    const all = [jump, first, second];
    t.after(() => Promise.all(all.map((sshd) => sshd.stop())));
    const [before, rotated] = await Promise.all([
      generateKey(jump.directory, { name: 'before' }),
      generateKey(jump.directory, { name: 'rotated' }),
    ]);
    for (const sshd of all) sshd.authorize([before.publicKey]);
    const secret = new SecretDirectory({
      'ssh-privatekey': before.privateKey,
      known_hosts: all.map((sshd) => sshd.knownHosts()).join(''),
    });
    const config = sshConfig([hopTo(first, secret), hopTo(second, secret)], { jumpHosts: [hopTo(jump, secret)] });
    const driver = createSshDriver(config, { podUid: 'test', log: silentLog() });
    t.after(async () => {
      await driver.close();
      secret[Symbol.dispose]();
    });
    const [toFirst, toSecond] = await driver.routes({ signal: AbortSignal.timeout(30_000) });
    assert.ok(toFirst && toSecond);
    const letsIn = async (route: typeof toFirst): Promise<void> => {
      await (await driver.connect(route, { signal: AbortSignal.timeout(30_000), log: silentLog() })).close();
    };
    await letsIn(toFirst);
    jump.authorize([before.publicKey, rotated.publicKey]);
    secret.write({ 'ssh-privatekey': rotated.privateKey });
    // The jump host accepts the new key each time.
    await letsIn(toFirst);
    await letsIn(toFirst);
    // We never logged in to it, so we offer what the others accepted.
    await letsIn(toSecond);
    first.authorize([rotated.publicKey]);
    jump.authorize([rotated.publicKey]);
    await letsIn(toFirst);
  });

  test('heals a tunnel that never worked', async (t) => {
    const sshd = await startSshd();
    t.after(() => sshd.stop());
    const key = await generateKey(sshd.directory);
    const secret = new SecretDirectory();
    t.after(() => secret[Symbol.dispose]());
    const driver = createSshDriver(sshConfig([hopTo(sshd, secret)]), { podUid: 'test', log: silentLog() });
    t.after(() => driver.close());
    const [route] = await driver.routes({ signal: AbortSignal.timeout(30_000) });
    assert.ok(route);
    const connect = () => driver.connect(route, { signal: AbortSignal.timeout(30_000), log: silentLog() });
    await assert.rejects(connect(), { code: 'SecretNotFound' });
    secret.write({ known_hosts: sshd.knownHosts() });
    await assert.rejects(connect(), { code: 'SecretKeyMissing' });
    secret.write({ 'ssh-privatekey': 'half a k' });
    await assert.rejects(connect(), { code: 'PrivateKeyInvalid' });
    secret.write({ 'ssh-privatekey': key.privateKey });
    await assert.rejects(connect(), { code: 'AuthenticationFailed' });
    sshd.authorize([key.publicKey]);
    await (await connect()).close();
  });
});
