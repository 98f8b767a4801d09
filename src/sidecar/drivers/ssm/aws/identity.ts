// Who the tunnel is at AWS: static keys of a Secret, otherwise what its pod was given (web identity, Pod Identity), otherwise what a laptop
// has; then the role to assume. Asked before every call, so that rotated keys and refreshed tokens are used at once; never in a log or an
// error. Neighbours: static-credentials.ts (keys of a Secret), aws-client.ts asks before each call, sign.ts signs with the answer.
import { checkedEndpoint, type EndpointPolicy } from '../../../../contract/aws-endpoint.ts';
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import type { SsmConfig } from '../../../../contract/tunnel-config.ts';
import { type CredentialProvider, type ProxyEnvironment, requestHandlerOptions } from './aws-client.ts';
import { awsError, credentialsMissing } from './aws-error.ts';
import type { Action } from './aws-reasons.ts';
import { profileFault } from './profile-fault.ts';
import type { AwsCredentials } from './sign.ts';
import { staticKeys } from './static-credentials.ts';

export interface IdentityOptions {
  readonly policy: EndpointPolicy;
  /** The name of the role's session, which AWS shows in logs and session ids. */
  readonly sessionName: string;
  /** The process's environment: what IRSA and Pod Identity put into a pod, and the proxy. */
  readonly environment: ProxyEnvironment;
}

/** New credentials are requested this long before the old ones expire. */
const aheadMs = 5 * 60_000;
/** Old ones that are valid for this long may still be used if no new ones can be had. */
const usableMs = 30_000;

/** Nothing is loaded or read before the first call. @throws TunnelError EndpointNotAllowed */
export function createIdentity(config: SsmConfig, options: IdentityOptions): CredentialProvider {
  const { assumeRole, credentials, region, endpoints } = config;
  const { policy, sessionName, environment } = options;
  const endpoint = endpoints.sts === '' ? undefined : checkedEndpoint(endpoints.sts, 'sts', policy).href;
  const clientConfig: StsSettings = {
    region,
    ...defined({ endpoint }),
    // The callers retry.
    maxAttempts: 1,
    requestHandler: requestHandlerOptions(environment),
  };
  const base = credentials === undefined ? environmentIdentity(clientConfig, options) : () => staticKeys(credentials);
  if (assumeRole === undefined) return base;

  const { roleArn, externalId, sessionTags = {} } = assumeRole;
  const secretName = credentials?.secretName;
  const tags = Object.entries(sessionTags).map(([Key, Value]) => ({ Key, Value }));
  const assume = async (masterCredentials: AwsCredentials): Promise<AwsCredentials> => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
    return await withReason({ action: 'sts:AssumeRole', role: roleArn, region, secretName }, () =>
      fromTemporaryCredentials({
        masterCredentials,
        params: {
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          ...defined({ ExternalId: externalId, Tags: tags.length === 0 ? undefined : tags }),
        },
        clientConfig,
      })(),
    );
  };
  // A role that was assumed with other keys proves nothing for the present ones.
  let assumed: { readonly by: string; readonly provider: CredentialProvider } | undefined;
  return async () => {
    const own = await base();
    if (assumed?.by !== own.accessKeyId) {
      assumed = { by: own.accessKeyId, provider: cached(async () => await assume(await base())) };
    }
    return await assumed.provider();
  };
}

const webIdentity: Action = 'sts:AssumeRoleWithWebIdentity';

interface StsSettings {
  readonly region: string;
  readonly endpoint?: string;
  readonly maxAttempts: number;
  readonly requestHandler: ReturnType<typeof requestHandlerOptions>;
}

/** The identity from the environment: first what a pod was given on purpose, then the AWS library's own search, as on a laptop. */
function environmentIdentity(
  clientConfig: StsSettings,
  { sessionName, environment }: IdentityOptions,
): CredentialProvider {
  const { region } = clientConfig;
  const library = () => import('@aws-sdk/credential-providers');
  const named = (name: string): string | undefined => environment[name] || undefined;
  const chosen = named('AWS_ACCESS_KEY_ID') ?? named('AWS_PROFILE');
  const tokenFile = named('AWS_WEB_IDENTITY_TOKEN_FILE');
  const roleArn = named('AWS_ROLE_ARN');
  if (chosen === undefined && tokenFile !== undefined && roleArn !== undefined) {
    return cached(async () => {
      const { fromTokenFile } = await library();
      const provider = fromTokenFile({
        webIdentityTokenFile: tokenFile,
        roleArn,
        roleSessionName: named('AWS_ROLE_SESSION_NAME') ?? sessionName,
        clientConfig,
      });
      return await withReason({ action: webIdentity, role: roleArn, region }, async () => await provider());
    });
  }
  const agent = named('AWS_CONTAINER_CREDENTIALS_FULL_URI');
  if (chosen === undefined && agent !== undefined) {
    const agentToken = named('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE');
    return cached(async () => {
      const { fromHttp } = await library();
      try {
        return await fromHttp({
          awsContainerCredentialsFullUri: agent,
          ...defined({ awsContainerAuthorizationTokenFile: agentToken }),
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
    try {
      return await withReason({ action: webIdentity, role: 'the tunnel’s role', region }, provider);
    } catch (error) {
      const isMissing = error instanceof TunnelError && error.code === 'CredentialsMissing';
      throw (isMissing ? await profileFault(named('AWS_PROFILE'), region) : undefined) ?? error;
    }
  };
}

/** Asks the provider again only shortly before the last credentials expire, one call at a time; while they are valid, a failure does no harm. */
function cached(provider: CredentialProvider): CredentialProvider {
  let last: AwsCredentials | undefined;
  let asking: Promise<AwsCredentials> | undefined;
  return async () => {
    if (last !== undefined && expiresIn(last) > aheadMs) return last;
    asking ??= provider().finally(() => {
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
  /** The Secret with the keys of the caller, if any. */
  readonly secretName?: string | undefined;
}

async function withReason(
  { action, role, region, secretName }: RoleCall,
  ask: CredentialProvider,
): Promise<AwsCredentials> {
  try {
    return await ask();
  } catch (error) {
    // Without the file of the projected token there is no identity.
    if (isMissingFile(error)) throw credentialsMissing(error);
    throw awsError(error, action, role, region, secretName);
  }
}

function podIdentityRefused(cause: unknown): TunnelError {
  if (isMissingFile(cause)) return credentialsMissing(cause);
  // The AWS library's own sentence: the status is nowhere else.
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
