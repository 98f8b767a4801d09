// What PAM decides behind sshd: second factors, expired passwords and accounts, a machine that still starts. Real modules, in an /etc of
// the test's own.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { startSshd } from '../../../lab/private-network/sshd.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, SecretDirectory, userKey } from './ssh-world.ts';

const password = 'correct horse';

/** The account rules are the machine's own; how it asks, and what else counts, is the test's. */
const pamWith = (auth: string, ...account: readonly string[]): readonly string[] => [
  `auth required ${auth}`,
  ...account.map((line) => `account required ${line}`),
  'account required pam_unix.so',
  'session required pam_permit.so',
  'password required pam_deny.so',
];

interface Account {
  readonly pam: readonly string[];
  readonly ages?: string;
  readonly config?: readonly string[];
  /** Keys of the Secret beside the private key. */
  readonly secret?: Readonly<Record<string, string>>;
}

async function loginTo(t: TestContext, { pam, ages, config = [], secret: more = {} }: Account) {
  const sshd = await startSshd({
    password,
    pam,
    config: ['UsePAM yes', 'KbdInteractiveAuthentication yes', 'PasswordAuthentication no', ...config],
    ...(ages === undefined ? {} : { ages }),
  });
  t.after(() => sshd.stop());
  const { privateKey } = await userKey(sshd);
  const secret = new SecretDirectory({ 'ssh-privatekey': privateKey, known_hosts: sshd.knownHosts(), ...more });
  t.after(() => secret[Symbol.dispose]());
  const session = await connectOnce(sshConfig([hopTo(sshd, secret)]));
  t.after(() => session.close());
  const service = await serve(echo);
  t.after(() => service.stop());
  return await session.dial({ host: '127.0.0.1', port: service.port }, { signal: AbortSignal.timeout(30_000) });
}

const both = ['AuthenticationMethods publickey,keyboard-interactive'];

describe('an account that PAM guards', { timeout: 120_000 }, () => {
  test('carries if nothing is wrong with it', async (t) => {
    await loginTo(t, { pam: pamWith('pam_unix.so') });
  });

  test('carries if PAM asks nothing for the second factor', async (t) => {
    await loginTo(t, { pam: pamWith('pam_permit.so'), config: both });
  });

  test('carries if PAM asks for the password, and the Secret has it', async (t) => {
    await loginTo(t, { pam: pamWith('pam_unix.so'), config: both, secret: { password } });
  });

  test('is told as one that demands more if PAM asks, and the Secret has the key alone', async (t) => {
    await assert.rejects(loginTo(t, { pam: pamWith('pam_unix.so'), config: both }), {
      code: 'AuthenticationFailed',
      message: /accepts the key of user tunnel, but demands an answer that a person types/,
    });
  });

  test('whose password has expired (chage -d 0) logs in, and the dial tells it', async (t) => {
    await assert.rejects(loginTo(t, { pam: pamWith('pam_unix.so'), ages: '0::::::' }), {
      code: 'ForwardingProhibited',
      message: /or the account’s password has expired/,
    });
  });

  test('whose password has outlived its days (chage -M) is the same', async (t) => {
    await assert.rejects(loginTo(t, { pam: pamWith('pam_unix.so'), ages: '19000:0:30:7:::' }), {
      code: 'ForwardingProhibited',
      message: /or the account’s password has expired/,
    });
  });

  for (const [what, account] of [
    ['has expired (chage -E)', { pam: pamWith('pam_unix.so'), ages: '19000:::::1:' }],
    ['is inactive since its password expired (chage -I)', { pam: pamWith('pam_unix.so'), ages: '19000:0:30:7:1::' }],
    ['is denied by the rules', { pam: pamWith('pam_unix.so', 'pam_deny.so') }],
  ] as const) {
    test(`that ${what} is turned away after the key was accepted`, async (t) => {
      await assert.rejects(loginTo(t, account), { code: 'LoginInterrupted', message: /locked or expired there/ });
    });
  }

  test('of a machine that still starts (pam_nologin) is turned away after the key was accepted', async (t) => {
    const file = join(tmpdir(), `portforward-nologin-${process.pid}`);
    writeFileSync(file, 'System is booting up.\n');
    t.after(() => rmSync(file));
    await assert.rejects(loginTo(t, { pam: pamWith('pam_unix.so', `pam_nologin.so file=${file}`) }), {
      code: 'LoginInterrupted',
      message: /pam_nologin/,
    });
  });
});
