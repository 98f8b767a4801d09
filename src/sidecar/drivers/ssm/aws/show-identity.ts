// The first step of `doctor`: whether there are credentials at all, and where they are from; none of them is told.
// Neighbours: identity.ts gives them, ../driver.ts asks for this only if somebody watches.
import type { SsmConfig } from '../../../../contract/tunnel-config.ts';
import type { Trace } from '../../../base/trace.ts';
import type { CredentialProvider } from './aws-client.ts';
import { awsError } from './aws-error.ts';

/** @throws TunnelError why there are no credentials */
export async function showIdentity(trace: Trace, config: SsmConfig, provider: CredentialProvider): Promise<void> {
  const { region, credentials, assumeRole } = config;
  trace.begin('identity', `AWS ${region}`);
  trace.note(credentials === undefined ? 'what this process was given' : `keys of Secret ${credentials.secretName}`);
  if (assumeRole !== undefined) trace.note(`then the role ${assumeRole.roleArn}`);
  try {
    const { expiration } = await provider();
    // Keys of a Secret have a date of ours, so that the AWS library asks again.
    const isKnown = assumeRole !== undefined || credentials === undefined;
    if (isKnown && expiration !== undefined) trace.note(`valid until ${expiration.toISOString()}`);
  } catch (error) {
    throw awsError(
      error,
      'sts:AssumeRole',
      assumeRole?.roleArn ?? 'the tunnel’s role',
      region,
      credentials?.secretName,
    );
  }
}
