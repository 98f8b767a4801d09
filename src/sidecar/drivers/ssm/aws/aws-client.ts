// What all calls to AWS have in common: where they go, as whom, through which proxy, how long they may take, and what their failures mean.
// Neighbours: api.ts and ecs.ts make the calls, identity.ts the ones for credentials, aws-error.ts gives the reasons.
import { checkedEndpoint, type EndpointPolicy } from '../../../../contract/aws-endpoint.ts';
import { awsError } from './aws-error.ts';
import type { Action } from './aws-reasons.ts';
import type { AwsCredentials } from './sign.ts';

/** The pod's environment as far as it names a proxy: HTTPS_PROXY, NO_PROXY, in both spellings. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Gives credentials that are valid now. @throws TunnelError */
export type CredentialProvider = () => Promise<AwsCredentials>;

export interface AwsCallOptions {
  readonly policy: EndpointPolicy;
  /** Empty: AWS's own of the region. */
  readonly endpoint: string;
  /** Gives credentials that are valid now; asked before every call. */
  readonly credentials: CredentialProvider;
  /** No proxy unless told. */
  readonly proxy?: ProxyEnvironment;
  /** Where the keys are, for sentences; undefined: not in a Secret. */
  readonly secretName?: string | undefined;
}

const connectTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;

/** How a client of the AWS library sends: within our times, through the proxy that the pod has. */
export function requestHandlerOptions(proxy: ProxyEnvironment) {
  const agent = { keepAlive: true, maxSockets: 10, proxyEnv: { ...proxy } };
  return {
    connectionTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    throwOnRequestTimeout: true,
    httpsAgent: agent,
    httpAgent: agent,
  };
}

/** The settings of a client of the AWS library. @throws TunnelError EndpointNotAllowed */
export function clientSettings(service: 'ssm' | 'ecs', { policy, endpoint, credentials, proxy = {} }: AwsCallOptions) {
  const checked = endpoint === '' ? undefined : checkedEndpoint(endpoint, service, policy);
  return {
    region: policy.region,
    credentials,
    ...(checked === undefined ? {} : { endpoint: checked.href }),
    // Who calls repeats, and knows how long it makes sense.
    maxAttempts: 1,
    // It would follow the service's clock while the web socket's signature follows ours, and be wrong once ours is mended.
    disableClockSkewCorrection: true,
    requestHandler: requestHandlerOptions(proxy),
  };
}

/** Runs one call. `subject` is what it is about, for the sentence. @throws TunnelError, or the signal's reason. */
export async function awsCall<T>(
  about: {
    readonly action: Action;
    readonly subject: string;
    readonly region: string;
    readonly secretName: string | undefined;
    readonly signal: AbortSignal;
  },
  run: () => Promise<T>,
): Promise<T> {
  const { action, subject, region, secretName, signal } = about;
  signal.throwIfAborted();
  try {
    return await run();
  } catch (error) {
    // Aborted by our owner: its own reason, not the library's.
    signal.throwIfAborted();
    throw awsError(error, action, subject, region, secretName);
  }
}
