// A real sshd, a Secret's files and an ssh driver, for every test of this folder.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeWhole } from '../../../lab/base/whole-file.ts';
import { generateKey, type KeyPair, type Sshd } from '../../../lab/private-network/sshd.ts';
import type { Hop, SshConfig } from '../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../src/process/log.ts';
import type { Session } from '../../../src/sidecar/base/driver.ts';
import { sshDriver } from './through-engine.ts';

/** A directory like the one that the kubelet mounts. */
export class SecretDirectory {
  readonly directory = mkdtempSync(join(tmpdir(), 'portforward-secret-'));
  readonly secretName = 'orders-bastion';

  constructor(files: Readonly<Record<string, string>> = {}) {
    this.write(files);
  }

  /** Writes each file atomically: a watcher never sees half of one. */
  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) writeWhole(join(this.directory, name), text);
  }

  remove(name: string): void {
    rmSync(join(this.directory, name), { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A key pair that `sshd` lets in. */
export async function userKey(sshd: Sshd, options: Parameters<typeof generateKey>[1] = {}): Promise<KeyPair> {
  const key = await generateKey(sshd.directory, { name: `user-${options.type ?? 'ed25519'}`, ...options });
  sshd.authorize([key.publicKey]);
  return key;
}

export function hopTo(sshd: { readonly host: string; readonly port: number }, secret?: SecretDirectory): Hop {
  const credentials = secret && { secretName: secret.secretName, directory: secret.directory };
  return { host: sshd.host, port: sshd.port, user: 'tunnel', ...(credentials === undefined ? {} : { credentials }) };
}

/** A session over the first route, through a driver of its own that is closed with it. */
export async function connectOnce(config: SshConfig, signal = AbortSignal.timeout(30_000)): Promise<Session> {
  const log = silentLog();
  const driver = sshDriver(config, { podUid: 'test', log });
  const [route] = await driver.routes({ signal });
  if (route === undefined) throw new Error('no route');
  try {
    const session = await driver.connect(route, { signal, log });
    session.signal.addEventListener('abort', () => void driver.close());
    return session;
  } catch (error) {
    await driver.close();
    throw error;
  }
}

/** A private key for a server or a user of the test's own, as ssh2 takes it. Each takes up to seconds. */
export const rsaPrivateKey = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
