// Who the tunnel is at AWS: static keys of a Secret, else what its pod was given (web identity, Pod Identity), else what a laptop has; then
// the role to assume. Asked before every call, so that rotated keys and refreshed tokens are used as soon as they are there; never kept in
// a log or an error. Neighbours: static-credentials.ts (static keys), aws-client.ts asks before each call, sign.ts signs with the answer.
import { checkedEndpoint, type EndpointPolicy } from '../../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import type { SsmConfig } from '../../../../contract/tunnel-config.ts';
import { type CredentialProvider, type ProxyEnvironment, requestHandlerOptions } from './aws-client.ts';
import { awsError, credentialsMissing } from './aws-error.ts';
import type { Action } from './aws-reasons.ts';
import type { AwsCredentials } from './sign.ts';
import { staticKeys } from './static-credentials.ts';

export interface IdentityOptions {
  readonly policy: EndpointPolicy;
  /** How AWS's logs and session ids call the tunnel where it takes on a role. */
  readonly sessionName: string;
  /** The process's environment: what IRSA and Pod Identity put into a pod, and the proxy. */
  readonly environment: ProxyEnvironment;
}

/** New credentials are sought this long before the old ones end. */
const aheadMs = 5 * 60_000;
/** Old ones that live this long may still be used when there are no new ones. */
const usableMs = 30_000;

/** Nothing is loaded or read before the first call. @throws TunnelError EndpointNotAllowed */
export function createIdentity(config: SsmConfig, options: IdentityOptions): CredentialProvider {
  const { assumeRole, credentials, region, endpoints } = config;
  const { policy, sessionName, environment } = options;
  const endpoint = endpoints.sts === '' ? undefined : checkedEndpoint(endpoints.sts, 'sts', policy).href;
  const clientConfig: StsSettings = {
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    // Who calls repeats.
    maxAttempts: 1,
    requestHandler: requestHandlerOptions(environment),
  };
  const base = credentials === undefined ? ownIdentity(clientConfig, options) : () => staticKeys(credentials);
  if (assumeRole === undefined) return base;

  const { roleArn, externalId, sessionTags = {} } = assumeRole;
  const secretName = credentials?.secretName;
  const tags = Object.entries(sessionTags).map(([Key, Value]) => ({ Key, Value }));
  const assume = async (masterCredentials: AwsCredentials): Promise<AwsCredentials> => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
    return await refused({ action: 'sts:AssumeRole', role: roleArn, region, secretName }, () =>
      fromTemporaryCredentials({
        masterCredentials,
        params: {
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          ...(externalId === undefined ? {} : { ExternalId: externalId }),
          ...(tags.length === 0 ? {} : { Tags: tags }),
        },
        clientConfig,
      })(),
    );
  };
  // What was assumed with other keys says nothing of those that are there now.
  let assumed: { readonly by: string; readonly source: CredentialProvider } | undefined;
  return async () => {
    const own = await base();
    if (assumed?.by !== own.accessKeyId) {
      assumed = { by: own.accessKeyId, source: kept(async () => await assume(await base())) };
    }
    return await assumed.source();
  };
}

const webIdentity: Action = 'sts:AssumeRoleWithWebIdentity';

interface StsSettings {
  readonly region: string;
  readonly endpoint?: string;
  readonly maxAttempts: number;
  readonly requestHandler: ReturnType<typeof requestHandlerOptions>;
}

/** What the surroundings give: first what a pod has on purpose, then the AWS library's own search, as on a laptop. */
function ownIdentity(clientConfig: StsSettings, { sessionName, environment }: IdentityOptions): CredentialProvider {
  const { region } = clientConfig;
  const library = () => import('@aws-sdk/credential-providers');
  const named = (name: string): string | undefined => environment[name] || undefined;
  const chosen = named('AWS_ACCESS_KEY_ID') ?? named('AWS_PROFILE');
  const tokenFile = named('AWS_WEB_IDENTITY_TOKEN_FILE');
  const roleArn = named('AWS_ROLE_ARN');
  if (chosen === undefined && tokenFile !== undefined && roleArn !== undefined) {
    return kept(async () => {
      const { fromTokenFile } = await library();
      const provider = fromTokenFile({
        webIdentityTokenFile: tokenFile,
        roleArn,
        roleSessionName: named('AWS_ROLE_SESSION_NAME') ?? sessionName,
        clientConfig,
      });
      return await refused({ action: webIdentity, role: roleArn, region }, async () => await provider());
    });
  }
  const agent = named('AWS_CONTAINER_CREDENTIALS_FULL_URI');
  if (chosen === undefined && agent !== undefined) {
    const agentToken = named('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE');
    return kept(async () => {
      const { fromHttp } = await library();
      try {
        return await fromHttp({
          awsContainerCredentialsFullUri: agent,
          ...(agentToken === undefined ? {} : { awsContainerAuthorizationTokenFile: agentToken }),
          maxRetries: 0,
        })();
      } catch (cause) {
        throw podIdentityRefused(cause);
      }
    });
  }
  let provider: CredentialProvider | undefined;
  return async () => {
    provider ??= (await library()).fromNodeProviderChain({ clientConfig, roleSessionName: sessionName });
    return await refused({ action: webIdentity, role: 'the tunnel’s role', region }, provider);
  };
}

/** Asks the source anew only shortly before the last credentials end, and once at a time; while those live, a failure is no harm. */
function kept(source: CredentialProvider): CredentialProvider {
  let last: AwsCredentials | undefined;
  let asking: Promise<AwsCredentials> | undefined;
  return async () => {
    if (last !== undefined && expiresIn(last) > aheadMs) return last;
    asking ??= source().finally(() => {
      asking = undefined;
    });
    try {
      last = await asking;
    } catch (error) {
      if (last === undefined || expiresIn(last) < usableMs) throw error;
    }
    return last;
  };
}

interface RoleCall {
  readonly action: Action;
  readonly role: string;
  readonly region: string;
  /** Where the keys are that ask, if they are in a Secret. */
  readonly secretName?: string | undefined;
}

async function refused(
  { action, role, region, secretName }: RoleCall,
  ask: CredentialProvider,
): Promise<AwsCredentials> {
  try {
    return await ask();
  } catch (error) {
    // The projected token: no file, no identity.
    if (isMissingFile(error)) throw credentialsMissing(error);
    throw awsError(error, action, role, region, secretName);
  }
}

function podIdentityRefused(cause: unknown): TunnelError {
  if (isMissingFile(cause)) return credentialsMissing(cause);
  // The AWS library's own sentence: it tells the status nowhere else.
  const status = cause instanceof Error ? /status: (4\d\d)/.exec(cause.message)?.[1] : undefined;
  return status === undefined
    ? new TunnelError(
        'CredentialsMissing',
        'the Pod Identity agent gives no credentials: look whether eks-pod-identity-agent runs on the pod’s node',
        { cause },
      )
    : new TunnelError(
        'CredentialsRefused',
        `the Pod Identity agent refuses credentials (status ${status}): associate a role that trusts pods.eks.amazonaws.com with the tunnel’s ServiceAccount`,
        { cause },
      );
}

function isMissingFile(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}

function expiresIn({ expiration }: AwsCredentials): number {
  return expiration === undefined ? 0 : expiration.getTime() - Date.now();
}
