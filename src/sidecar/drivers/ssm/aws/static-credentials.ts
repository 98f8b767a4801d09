// Static AWS keys in a mounted Secret: read for every call, so that changed keys sign the next one, and watched by driver.ts, so that the
// tunnel tries changed keys at once. Neighbours: identity.ts begins with them, sidecar/base/secret-files.ts reads them.
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { secretKeys } from '../../../../contract/secret-keys.ts';
import type { Credentials } from '../../../../contract/tunnel-config.ts';
import { readSecretFiles } from '../../../base/secret-files.ts';
import type { AwsCredentials } from './sign.ts';

/** The present keys, all of one version of the Secret. @throws TunnelError SecretNotFound or SecretKeyMissing */
export async function staticKeys({ directory, secretName }: Credentials): Promise<AwsCredentials> {
  const { files } = await readSecretFiles(directory, secretKeys.ssm);
  const [accessKeyId, secretAccessKey, sessionToken] = secretKeys.ssm.map((key) => files[key]?.trim() ?? '');
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
  // Expired already: otherwise the AWS library would keep these keys and never see the next ones.
  return {
    accessKeyId,
    secretAccessKey,
    ...defined({ sessionToken: sessionToken || undefined }),
    expiration: new Date(),
  };
}
