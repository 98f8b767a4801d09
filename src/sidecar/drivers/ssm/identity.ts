// Who the tunnel is at AWS: static keys of a Secret, else what the pod was given (web identity, Pod Identity), then the role to assume.
// Asked before every call, so that rotated keys and refreshed tokens are used as soon as they are there; never kept in a log or an error.
// Neighbours: api.ts asks, sign.ts signs with it.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkedEndpoint, type EndpointPolicy } from '../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../contract/errors.ts';
import type { Credentials, SsmConfig } from '../../../contract/tunnel-config.ts';
import { awsError } from './aws-error.ts';
import type { AwsCredentials } from './sign.ts';

/** Gives credentials that are valid now. @throws TunnelError */
export type CredentialSource = () => Promise<AwsCredentials>;

const KEYS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
/** A mounted Secret is looked at this often: the promise is a second. */
const LOOK_MS = 500;

/** Nothing is loaded or read before the first call. @throws TunnelError EndpointNotAllowed */
export function createIdentity(config: SsmConfig, policy: EndpointPolicy, sessionName: string): CredentialSource {
  const { assumeRole, credentials, region, endpoints } = config;
  const base: CredentialSource = credentials === undefined ? ownIdentity() : () => secretKeys(credentials);
  if (assumeRole === undefined) return base;
  const endpoint = endpoints.sts === '' ? undefined : checkedEndpoint(endpoints.sts, 'sts', policy).href;
  const { roleArn, externalId, sessionTags = {} } = assumeRole;
  let provider: Promise<CredentialSource> | undefined;
  const load = async (): Promise<CredentialSource> => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
    return fromTemporaryCredentials({
      masterCredentials: base,
      params: {
        RoleArn: roleArn,
        RoleSessionName: sessionName,
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
        Tags: Object.entries(sessionTags).map(([Key, Value]) => ({ Key, Value })),
      },
      clientConfig: { region, ...(endpoint === undefined ? {} : { endpoint }) },
    });
  };
  let current: AwsCredentials | undefined;
  return async () => {
    if (current !== undefined && expiresIn(current) > 5 * 60_000) return current;
    provider ??= load();
    try {
      current = await (await provider)();
      return current;
    } catch (error) {
      throw awsError(error, 'sts:AssumeRole', roleArn, region);
    }
  };
}

/** Calls back within about a second after the files of the Secret changed, until the answer is called. */
export function watchSecret(directory: string, changed: () => void): () => void {
  let known: string | undefined;
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void fingerprint(directory).then((now) => {
      looking = false;
      const before = known;
      known = now;
      if (before !== undefined && before !== now) changed();
    });
  }, LOOK_MS);
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

function ownIdentity(): CredentialSource {
  let provider: Promise<CredentialSource> | undefined;
  return async () => {
    provider ??= import('@aws-sdk/credential-providers').then(({ fromNodeProviderChain }) => fromNodeProviderChain());
    return (await provider)();
  };
}

async function secretKeys({ directory, secretName }: Credentials): Promise<AwsCredentials> {
  const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all(
    KEYS.map((key) =>
      readFile(join(directory, key), 'utf8').then(
        (text) => text.trim(),
        () => '',
      ),
    ),
  );
  if (!accessKeyId || !secretAccessKey) {
    const missing = accessKeyId ? 'AWS_SECRET_ACCESS_KEY' : 'AWS_ACCESS_KEY_ID';
    throw new TunnelError('SecretKeyMissing', `the Secret ${secretName} has no key ${missing}`);
  }
  // Already over: or the AWS library would keep these and never see the keys that follow them.
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}), expiration: new Date() };
}

function expiresIn({ expiration }: AwsCredentials): number {
  return expiration === undefined ? 0 : expiration.getTime() - Date.now();
}
