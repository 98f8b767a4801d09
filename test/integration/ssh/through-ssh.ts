// What becomes of one login and one dial through OpenSSH's own client and through the tunnel's driver, in the same words.
// Neighbours: same-as-ssh-keys.test.ts and same-as-ssh-options.test.ts compare the two.
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandFailed, command } from '../../../lab/process/command.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

/** What was tried last decides: nothing came of the login, the dial was prohibited, or bytes came back. */
export type Outcome = 'no login' | 'no forwarding' | 'carried';

export interface Login {
  readonly bastion: { readonly host: string; readonly port: number };
  readonly knownHosts: string;
  /** Of a service that sends back what it gets. */
  readonly echoPort: number;
  /** The content of the private key's file. */
  readonly privateKey: string;
  readonly passphrase?: string | undefined;
  /** The content of the certificate's file. */
  readonly certificate?: string | undefined;
}

export async function throughSsh(login: Login): Promise<{ readonly outcome: Outcome; readonly said: string }> {
  const { bastion, echoPort, passphrase = '', certificate } = login;
  const directory = mkdtempSync(join(tmpdir(), 'portforward-ssh-'));
  const write = (name: string, text: string, mode = 0o600): string => {
    const file = join(directory, name);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const askPass = write('askpass', `#!/bin/sh\nprintf '%s\\n' '${passphrase}'\n`, 0o700);
  const options = {
    IdentityFile: write('key', login.privateKey),
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    UserKnownHostsFile: write('known_hosts', login.knownHosts),
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    PreferredAuthentications: 'publickey',
    NumberOfPasswordPrompts: '1',
    UpdateHostKeys: 'no',
    ...(certificate === undefined ? {} : { CertificateFile: write('certificate', certificate) }),
  };
  const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  try {
    const target = ['-p', `${bastion.port}`, '-W', `127.0.0.1:${echoPort}`, `tunnel@${bastion.host}`];
    const back = await command('ssh', ['-F', 'none', ...words, ...target], {
      input: 'hello',
      timeoutMs: 60_000,
      env: { SSH_ASKPASS: askPass, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
    });
    return { outcome: back === 'hello' ? 'carried' : 'no forwarding', said: '' };
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const isForwarding = /administratively prohibited|open failed|forwarding failed/i.test(error.stderr);
    return { outcome: isForwarding ? 'no forwarding' : 'no login', said: error.stderr.trim() };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export async function throughUs(login: Login): Promise<{ readonly outcome: Outcome; readonly said: string }> {
  const { bastion, knownHosts, echoPort, privateKey, passphrase, certificate } = login;
  using secret = new SecretDirectory({
    'ssh-privatekey': privateKey,
    known_hosts: knownHosts,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(certificate === undefined ? {} : { 'ssh-publickey-cert': certificate }),
  });
  const said = (error: unknown): string => {
    if (!(error instanceof TunnelError)) throw error;
    return `${error.code}: ${error.message}`;
  };
  let session: Awaited<ReturnType<typeof connectOnce>>;
  try {
    session = await connectOnce(sshConfig([hopTo(bastion, secret)]));
  } catch (error) {
    return { outcome: 'no login', said: said(error) };
  }
  try {
    const signal = AbortSignal.timeout(30_000);
    const stream = await session.dial({ host: '127.0.0.1', port: echoPort }, { signal });
    stream.end('hello');
    const [back] = await once(stream, 'data', { signal });
    return { outcome: String(back) === 'hello' ? 'carried' : 'no forwarding', said: '' };
  } catch (error) {
    return { outcome: 'no forwarding', said: said(error) };
  } finally {
    await session.close();
  }
}
