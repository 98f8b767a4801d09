// The ssm driver: managed nodes as routes, Session Manager as the way through them. Reading order of this folder: driver → session →
// renewing-channel → channel-opener → data-channel → channel/channel-transport, streams/smux/smux-multiplexer; the rest has no I/O.
import type { EndpointPolicy } from '../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../contract/errors.ts';
import { secretKeys } from '../../../contract/secret-keys.ts';
import { destinationText, type SsmConfig } from '../../../contract/tunnel-config.ts';
import { abortable, onAbort } from '../../../process/abort.ts';
import { type Clock, systemClock } from '../../../process/clock.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import { CredentialsRecord } from '../../base/credentials-record.ts';
import type { ConnectOptions, Destination, Driver, RouteOptions, Session } from '../../base/driver.ts';
import { watchSecretFiles } from '../../base/secret-files.ts';
import { createSsmApi, type SsmApi } from './aws/api.ts';
import type { CredentialProvider, ProxyEnvironment } from './aws/aws-client.ts';
import { createEcsApi, type EcsApi } from './aws/ecs.ts';
import { createIdentity } from './aws/identity.ts';
import { Leftovers } from './aws/leftovers.ts';
import { showIdentity } from './aws/show-identity.ts';
import type { SsmRoute } from './aws/ssm-route.ts';
import { Targets } from './aws/targets.ts';
import { ChannelOpener, isRemoteHost } from './channel-opener.ts';
import { RenewingChannel } from './renewing-channel.ts';
import { SsmSession } from './session.ts';

export interface SsmDriverOptions {
  /** Every session is opened for all of these. */
  readonly destinations: readonly Destination[];
  /** False if sessions are closed when nobody uses them: then an idle agent is not asked whether it lives. */
  readonly persistent: boolean;
  /** What the account's session list shows as the reason: `portforward/<namespace>/<name>/<pod UID>`. */
  readonly reason: string;
  /** Decides the order of nodes; any stable text on a laptop. */
  readonly podUid: string;
  readonly log: Logger;
  /** What all buffers of the pod may hold together. */
  readonly budget: ByteBudget;
  /** How long the streams of the oldest of too many retired channels may go on, in milliseconds. */
  readonly drainTimeoutMs: number;
  /** The process's environment: the identity that a pod was given, and the proxy. Default: neither. */
  readonly environment?: ProxyEnvironment;
  /** Origins besides AWS's that may get signed requests. Default: none. */
  readonly allowedEndpoints?: readonly string[];
  /** For tests. Default: AWS itself. */
  readonly api?: SsmApi;
  readonly ecs?: EcsApi;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Nothing is opened, read or loaded before the first call. @throws TunnelError EndpointNotAllowed */
export function createSsmDriver(config: SsmConfig, options: SsmDriverOptions): Driver<SsmRoute> {
  const { region, endpoints, credentials, target, maxSessionMinutes, sessions } = config;
  const { podUid, clock = systemClock, random = Math.random, environment = {}, allowedEndpoints = [] } = options;
  const policy: EndpointPolicy = { region, allowed: allowedEndpoints };
  const calls = {
    policy,
    credentials: createIdentity(config, { policy, environment, sessionName: roleSessionName(podUid) }),
    proxy: environment,
    secretName: credentials?.secretName,
  };
  const api = options.api ?? createSsmApi({ ...calls, endpoint: endpoints.ssm });
  const ecs = options.ecs ?? createEcsApi({ ...calls, endpoint: endpoints.ecs });
  const leftovers = new Leftovers({
    ...options,
    api,
    clock,
    target: 'instanceId' in target ? target.instanceId : undefined,
    startsSettled: (signal) => opener.startsSettled(signal),
  });
  const opener = new ChannelOpener({
    ...options,
    ...calls,
    api,
    clock,
    random,
    endpoint: endpoints.ssmmessages,
    maxSessionMinutes,
    sessions,
    onStarted: (sessionId) => leftovers.started(sessionId),
  });
  const targets = new Targets({ region, target, api, ecs, podUid, clock });
  const parts = { api, ecs, clock, random, leftovers, opener, targets, identity: calls.credentials };
  return new SsmDriver(config, { ...options, ...parts });
}

interface Parts extends Omit<SsmDriverOptions, 'api' | 'ecs' | 'clock' | 'random'> {
  readonly api: SsmApi;
  readonly ecs: EcsApi;
  readonly clock: Clock;
  readonly random: () => number;
  readonly leftovers: Leftovers;
  readonly opener: ChannelOpener;
  readonly targets: Targets;
  readonly identity: CredentialProvider;
}

/** What says that the keys of the Secret are wrong, or belong to someone who may not do what the tunnel needs. */
const credentialCodes = [
  'SecretNotFound',
  'SecretKeyMissing',
  'CredentialsExpired',
  'CredentialsRefused',
  'AccessDenied',
  'ResumeDenied',
] as const;

class SsmDriver implements Driver<SsmRoute> {
  readonly #config: SsmConfig;
  readonly #parts: Parts;
  readonly #record: CredentialsRecord;
  readonly credentialsVerdict: Driver['credentialsVerdict'];
  /** A session would cost the account's list an entry, and the node a slot. Only managed nodes can be asked about, and only tags name several. */
  readonly checkStandby?: NonNullable<Driver<SsmRoute>['checkStandby']>;
  readonly #closed = new AbortController();
  /** True once a channel was resumed with the present credentials. */
  #resumeProved = false;

  constructor(config: SsmConfig, parts: Parts) {
    this.#config = config;
    this.#parts = parts;
    this.#record = new CredentialsRecord(credentialCodes, parts.log);
    this.credentialsVerdict = config.credentials && (() => this.#record.verdict);
    if ('tags' in config.target) this.checkStandby = (route, { signal }) => parts.targets.check(route, signal);
  }

  async routes({ signal, trace }: RouteOptions): Promise<readonly SsmRoute[]> {
    const { identity, targets } = this.#parts;
    if (trace !== undefined) await showIdentity(trace, this.#config, identity);
    trace?.begin('target');
    const routes = await targets.routes(signal);
    trace?.note(routes.map(({ via }) => via).join(', '));
    return routes;
  }

  async connect(route: SsmRoute, options: ConnectOptions): Promise<Session> {
    return await this.#record.note(route.via, () => this.#connect(route, options));
  }

  async #connect(route: SsmRoute, options: ConnectOptions): Promise<Session> {
    const { clock, destinations, leftovers, opener, targets } = this.#parts;
    const { signal } = options;
    // Channels that are opened later, for other destinations, are no step of this attempt.
    let { trace } = options;
    const session = new SsmSession(
      route.via,
      clock,
      () => opener.messageBytes(route.target),
      (destination, onChange) => this.#channel(route, destination, { ...options, trace }, onChange),
    );
    try {
      await session.start(destinations, signal);
      trace?.begin('resume');
      // A missing permission would show only in an hour, by dropping every connection: try it now, while nothing can be lost.
      if (!this.#resumeProved && session.facts.sessionId !== undefined) {
        await abortable(session.renewSocket(), { signal });
        this.#resumeProved = true;
      }
      trace?.begin('session');
      trace = undefined;
      targets.watch(route, session);
      leftovers.end(this.#closed.signal);
      return session;
    } catch (cause) {
      await session.close();
      targets.failed(route, signal.aborted ? signal.reason : cause);
      signal.throwIfAborted();
      throw cause instanceof TunnelError
        ? cause
        : new TunnelError(
            'ServiceFailed',
            `the session to ${route.via} could not be opened: the log of the tunnel has the cause`,
            { cause },
          );
    }
  }

  onCredentialsChange(listener: () => void): () => void {
    const { credentials } = this.#config;
    if (credentials === undefined) return () => undefined;
    const stop = watchSecretFiles(credentials.directory, secretKeys.ssm, () => {
      // The new keys may belong to someone with other permissions.
      this.#resumeProved = false;
      this.#record.forget(listener);
    });
    const closing = onAbort(this.#closed.signal, stop);
    return () => {
      closing[Symbol.dispose]();
      stop();
    };
  }

  async close(): Promise<void> {
    const { api, ecs, leftovers } = this.#parts;
    this.#closed.abort(new TunnelError('NotConnected', 'the driver was closed'));
    await leftovers.settled();
    api.close();
    ecs.close();
  }

  #channel(
    route: SsmRoute,
    destination: Destination,
    { log, onAnswer, trace }: ConnectOptions,
    onChange: () => void,
  ): RenewingChannel {
    const { opener, drainTimeoutMs, clock, random } = this.#parts;
    return new RenewingChannel({
      open: ({ spaced, onChange: changed }, signal) =>
        opener.open(route, destination, { log, onAnswer, trace, onChange: changed, spaced }, signal),
      destination: destinationText(destination),
      remoteHost: isRemoteHost(destination),
      lifeMs: (channel) => opener.lifeMs(route.target, channel),
      keepUntilAgeMs: () => opener.disproofAgeMs(route.target),
      drainTimeoutMs,
      clock,
      random,
      log,
      onChange,
    });
  }
}

/** Session ids begin with it, and IAM policies name it: letters, digits and some signs, at most 64. */
function roleSessionName(podUid: string): string {
  return `portforward-${podUid.replaceAll(/[^A-Za-z0-9]/g, '')}`.slice(0, 64);
}
