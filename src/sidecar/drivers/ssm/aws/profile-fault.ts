// Why the AWS profile of a laptop gives no credentials. The AWS library's search ends with one sentence for all causes, so the profile is read
// again, and asked alone for what it has to say. Neighbour: identity.ts, after the search has found nothing.
import { TunnelError } from '../../../../contract/errors.ts';

type Profiles = Readonly<Record<string, Readonly<Record<string, string | undefined>> | undefined>>;

/** At most so many source profiles are followed. */
const maxSources = 8;

/** The cause, with the profile's own error behind it; undefined if no profile was chosen and there is no `default`, or it has no known fault. */
export async function profileFault(chosen: string | undefined, region: string): Promise<TunnelError | undefined> {
  const profile = chosen ?? 'default';
  const { parseKnownFiles } = await import('@smithy/core/config');
  const profiles: Profiles = await parseKnownFiles({ ignoreCache: true });
  if (profiles[profile] === undefined && chosen === undefined) return undefined;
  const sentence = faultOf(profiles, profile);
  if (sentence === undefined) return undefined;
  return new TunnelError('CredentialsMissing', sentence, { cause: await ownError(profile, region) });
}

function faultOf(profiles: Profiles, profile: string): string | undefined {
  let name = profile;
  for (let depth = 0; depth < maxSources; depth += 1) {
    const at = profiles[name];
    const whose =
      name === profile
        ? `the AWS profile ${quoted(profile)}`
        : `${quoted(name)}, the source of the AWS profile ${quoted(profile)},`;
    if (at === undefined) {
      return name === profile
        ? `the AWS profile ${quoted(profile)} is neither in ~/.aws/config nor in ~/.aws/credentials: correct AWS_PROFILE`
        : `the AWS profile ${quoted(profile)} names the source_profile ${quoted(name)}, which does not exist: correct ~/.aws/config`;
    }
    if (at['mfa_serial'] !== undefined && at['role_arn'] !== undefined) {
      return `${whose} demands a second factor (mfa_serial), which cannot be asked for here: put temporary keys into the environment (aws configure export-credentials --profile ${profile} --format env)`;
    }
    if (at['credential_process'] !== undefined) {
      return `the credential_process of ${whose.replace(/,$/, '')} gives no credentials: run its command by hand and correct it`;
    }
    if (at['sso_session'] !== undefined || at['sso_start_url'] !== undefined) {
      return `the SSO sign-in of ${whose.replace(/,$/, '')} has expired or was never made: aws sso login --profile ${name}`;
    }
    const source = at['source_profile'];
    if (source === undefined || source === name) return undefined;
    name = source;
  }
  return undefined;
}

const quoted = (name: string): string => JSON.stringify(name);

/** What the profile itself says, for the log. */
async function ownError(profile: string, region: string): Promise<unknown> {
  const { fromIni } = await import('@aws-sdk/credential-providers');
  return await fromIni({ profile, clientConfig: { region }, ignoreCache: true })().then(
    () => undefined,
    (error: unknown) => error,
  );
}
