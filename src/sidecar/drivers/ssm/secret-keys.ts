// Static AWS keys in a mounted Secret: read for every call, so that changed keys sign the very next one, and watched, so that the tunnel
// tries changed keys at once. Neighbour: identity.ts begins with them.
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TunnelError } from '../../../contract/errors.ts';
import type { Credentials } from '../../../contract/tunnel-config.ts';
import type { AwsCredentials } from './sign.ts';

const KEYS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
/** A mounted Secret is looked at this often: the promise is a second. */
const LOOK_MS = 500;

/** The keys as they are now, all of one version of the Secret. @throws TunnelError SecretNotFound or SecretKeyMissing */
export async function secretKeys({ directory, secretName }: Credentials): Promise<AwsCredentials> {
  // Resolved once: the kubelet may swap the version between two files.
  const version = await realpath(join(directory, '..data')).catch(() => directory);
  const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all(
    KEYS.map((key) =>
      readFile(join(version, key), 'utf8').then(
        (text) => text.trim(),
        () => '',
      ),
    ),
  );
  if (!accessKeyId && !secretAccessKey && !sessionToken) {
    throw new TunnelError(
      'SecretNotFound',
      `Secret ${secretName} does not exist or holds none of the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: create it in the PortForward’s namespace`,
    );
  }
  if (!accessKeyId || !secretAccessKey) {
    const missing = accessKeyId ? 'AWS_SECRET_ACCESS_KEY' : 'AWS_ACCESS_KEY_ID';
    throw new TunnelError('SecretKeyMissing', `Secret ${secretName} has no key ${missing}: add it`);
  }
  // Already over: or the AWS library would keep these and never see the keys that follow them.
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}), expiration: new Date() };
}

/** Calls back within about a second after the files of the Secret changed, until the answer is called. */
export function watchSecret(directory: string, changed: () => void): () => void {
  let known: string | undefined;
  let looking = false;
  const look = (): void => {
    if (looking) return;
    looking = true;
    void fingerprint(directory).then((now) => {
      looking = false;
      const before = known;
      known = now;
      if (before !== undefined && before !== now) changed();
    });
  };
  // Keys that are corrected right after the first attempt must be seen to have changed.
  look();
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Inode, size and time of change of each file: the kubelet swaps all files at once, and a changed file on a laptop has a new time. */
async function fingerprint(directory: string): Promise<string> {
  const parts = await Promise.all(
    KEYS.map(async (key) => {
      const { ino, size, mtimeMs } = await stat(join(directory, key)).catch(() => ({ ino: 0, size: 0, mtimeMs: 0 }));
      return `${ino}:${size}:${mtimeMs}`;
    }),
  );
  return parts.join(' ');
}
