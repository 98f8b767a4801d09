// What all calls to AWS have in common: where they go, as whom, through which proxy, how long they may take, and what their failures mean.
// Neighbours: api.ts and ecs.ts make the calls, identity.ts the ones for credentials, aws-error.ts gives the reasons.
import { checkedEndpoint, type EndpointPolicy } from '../../../../contract/aws-endpoint.ts';
import { defined } from '../../../../contract/defined.ts';
import { awsError } from './aws-error.ts';
import type { Action } from './aws-reasons.ts';
import type { AwsCredentials } from './sign.ts';

/** The part of the pod's environment that names a proxy: HTTPS_PROXY, NO_PROXY, in both spellings. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Gives credentials that are valid now. @throws TunnelError */
export type CredentialProvider = () => Promise<AwsCredentials>;

export interface AwsCallOptions {
  readonly policy: EndpointPolicy;
  /** Empty: AWS's own of the region. */
  readonly endpoint: string;
  /** Asked before every call. */
  readonly credentials: CredentialProvider;
  /** Default: no proxy. */
  readonly proxy?: ProxyEnvironment;
  /** The Secret with the keys, for sentences; undefined: they are not in a Secret. */
  readonly secretName?: string | undefined;
}

const connectTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;

/** How a client of the AWS library sends: within our times, through the pod's proxy. */
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
function clientSettings(service: 'ssm' | 'ecs', { policy, endpoint, credentials, proxy = {} }: AwsCallOptions) {
  return {
    region: policy.region,
    credentials,
    ...defined({ endpoint: endpoint === '' ? undefined : checkedEndpoint(endpoint, service, policy).href }),
    // The callers retry, and know how long it makes sense.
    maxAttempts: 1,
    // The library would follow the service's clock while the web socket's signature follows ours, and be wrong once ours is corrected.
    disableClockSkewCorrection: true,
    requestHandler: requestHandlerOptions(proxy),
  };
}

interface Call {
  readonly action: Action;
  /** What the call is about, for the sentence. */
  readonly subject: string;
  readonly signal: AbortSignal;
}

export type AwsClientSettings = ReturnType<typeof clientSettings>;

/** One client of the AWS library, which is loaded with the first call. */
export class AwsClient<Sdk, Client extends { destroy(): void }> {
  readonly #options: AwsCallOptions;
  readonly #settings: AwsClientSettings;
  readonly #loadSdk: () => Promise<Sdk>;
  readonly #create: (sdk: Sdk, settings: AwsClientSettings) => Client;
  #client: Client | undefined;

  /** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
  constructor(
    service: 'ssm' | 'ecs',
    options: AwsCallOptions,
    loadSdk: () => Promise<Sdk>,
    create: (sdk: Sdk, settings: AwsClientSettings) => Client,
  ) {
    this.#options = options;
    this.#settings = clientSettings(service, options);
    this.#loadSdk = loadSdk;
    this.#create = create;
  }

  /** Runs one call. @throws TunnelError, or the signal's reason. */
  async call<T>(call: Call, run: (client: Client, sdk: Sdk) => Promise<T>): Promise<T> {
    return await this.guard(call, async () => {
      const sdk = await this.#loadSdk();
      this.#client ??= this.#create(sdk, this.#settings);
      return await run(this.#client, sdk);
    });
  }

  /** Runs something whose failures mean the same as those of a call. @throws TunnelError, or the signal's reason. */
  async guard<T>({ action, subject, signal }: Call, run: () => Promise<T>): Promise<T> {
    const { policy, secretName } = this.#options;
    signal.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      // Aborted by our owner: its own reason, not the library's.
      signal.throwIfAborted();
      throw awsError(error, action, subject, policy.region, secretName);
    }
  }

  close(): void {
    this.#client?.destroy();
  }
}
