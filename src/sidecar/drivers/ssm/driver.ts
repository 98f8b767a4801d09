// The ssm driver: managed nodes as routes, Session Manager sessions over the data channel. Reading order of this folder:
// driver → session → lane → data-channel → sockets, message-link → smux/session → smux/stream; the rest has no I/O.
import type { EndpointPolicy } from '../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../contract/errors.ts';
import { secretKeys } from '../../../contract/secret-keys.ts';
import { isNodeItself } from '../../../contract/ssm-documents.ts';
import { destinationText, type SsmConfig } from '../../../contract/tunnel-config.ts';
import { abortable } from '../../../process/abort.ts';
import { type Clock, systemClock } from '../../../process/clock.ts';
import { outlasting } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import type { ConnectOptions, Destination, Driver, Session } from '../../base/driver.ts';
import { watchSecretFiles } from '../../base/secret-files.ts';
import { createSsmApi, type SsmApi } from './aws/api.ts';
import type { ProxyEnvironment } from './aws/aws-client.ts';
import { createEcsApi, type EcsApi } from './aws/ecs.ts';
import { createIdentity } from './aws/identity.ts';
import { endLeftovers } from './aws/leftovers.ts';
import type { SsmRoute } from './aws/ssm-route.ts';
import { StartThrottle } from './aws/start-throttle.ts';
import { Targets } from './aws/targets.ts';
import { LifetimeLimits } from './base/lifetime-limits.ts';
import { DataChannel } from './data-channel.ts';
import { RenewingChannel } from './renewing-channel.ts';
import { SsmSession } from './session.ts';

export interface SsmDriverOptions {
  /** Every session is opened for all of these. */
  readonly destinations: readonly Destination[];
  /** False where sessions are closed when nobody uses them: then an idle agent is not asked for life. */
  readonly persistent: boolean;
  /** What the account's session list shows as the reason: `portforward/<namespace>/<name>/<pod UID>`. */
  readonly reason: string;
  /** Decides the order of nodes; any stable text on a laptop. */
  readonly podUid: string;
  readonly log: Logger;
  /** What all buffers of the pod may hold together. */
  readonly budget: ByteBudget;
  /** What the oldest of too many replaced sessions gets for its streams, in milliseconds. */
  readonly drainTimeoutMs: number;
  /** The process's environment: the identity that a pod was given, and the proxy. Neither unless told. */
  readonly environment?: ProxyEnvironment;
  /** For tests: AWS itself unless told. */
  readonly api?: SsmApi;
  readonly ecs?: EcsApi;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** AWS answers a start in a second or so; after an attempt was given up its answer is waited for this long. */
const startGraceMs = 3_000;

/** Nothing is opened, read or loaded before the first call. @throws TunnelError EndpointNotAllowed */
export function createSsmDriver(config: SsmConfig, options: SsmDriverOptions): Driver<SsmRoute> {
  const { region, endpoints, allowedEndpoints, credentials } = config;
  const { destinations, persistent, reason, podUid, budget, clock = systemClock, random = Math.random } = options;
  const { drainTimeoutMs, environment = {} } = options;
  const policy: EndpointPolicy = { region, allowed: allowedEndpoints };
  const calls = {
    policy,
    credentials: createIdentity(config, { policy, environment, sessionName: roleSessionName(podUid) }),
    proxy: environment,
    secretName: credentials?.secretName,
  };
  const api = options.api ?? createSsmApi({ ...calls, endpoint: endpoints.ssm });
  const ecs = options.ecs ?? createEcsApi({ ...calls, endpoint: endpoints.ecs });
  const targets = new Targets({ region, target: config.target, api, ecs, podUid, clock });
  const gate = new StartThrottle(random);
  const unwatch = new Set<() => void>();
  const limits = new LifetimeLimits(config.maxSessionMinutes);
  const closed = new AbortController();
  /** Sessions of this process; no longer needed once those of an earlier one are ended. */
  let known: Set<string> | undefined = new Set();
  let leftovers: Promise<void> | undefined;
  /** Nodes whose sessions died soon after large messages: they get small ones from then on. */
  const smallOnly = new Set<string>();
  let resumeProved = false;

  const open = async (
    { target }: SsmRoute,
    destination: Destination,
    log: Logger,
    { onChange, onAnswer }: { readonly onChange: () => void; readonly onAnswer: (() => void) | undefined },
    signal: AbortSignal,
  ): Promise<DataChannel> => {
    const end = destinationFromNode(destination);
    const ticket = await gate.pass(async () => {
      // A start that is given up half-way leaves a session that nobody knows; with its ticket it is ended below.
      const request = { target, ...end, reason };
      const started = await outlasting(startGraceMs, { signal, clock }, (late) => api.startSession(request, late));
      known?.add(started.sessionId);
      return started;
    }, signal);
    onAnswer?.();
    const channel = await DataChannel.open(
      {
        api,
        policy,
        endpoint: endpoints.ssmmessages,
        clock,
        log,
        ticket,
        budget,
        onChange,
        remoteHost: end.host !== undefined,
        target,
        destination: destinationText(destination),
        proxy: environment,
        largePayloads: !smallOnly.has(target),
        watchIdle: persistent,
      },
      signal,
    );
    channel.signal.addEventListener('abort', () => {
      if (channel.diedOfLargePayloads) smallOnly.add(target);
      limits.lived(target, channel.ageMs);
      if (channel.expiry !== undefined) limits.expired(target, channel.expiry);
    });
    return channel;
  };

  const sweep = async (): Promise<void> => {
    await endLeftovers(
      {
        api,
        reason,
        target: 'instanceId' in config.target ? config.target.instanceId : undefined,
        isKnown: (sessionId) => known?.has(sessionId) !== false,
        startsSettled: () => gate.pass(async () => undefined, closed.signal),
        clock,
        log: options.log,
      },
      closed.signal,
    );
    known = undefined;
  };

  return {
    routes: ({ signal }) => targets.routes(signal),

    async connect(route: SsmRoute, { signal, log, onAnswer }: ConnectOptions): Promise<Session> {
      const session = new SsmSession(route.via, clock, (destination, onChange) => {
        return new RenewingChannel({
          open: (changed, abort) => open(route, destination, log, { onChange: changed, onAnswer }, abort),
          destination: destinationText(destination),
          remoteHost: destinationFromNode(destination).host !== undefined,
          // An agent that multiplexes is sent NOPs.
          lifeMs: ({ agent }) => limits.lifeMs(route.target, persistent && !agent.multiplexes),
          doubtMs: () => limits.doubtMs(route.target),
          drainTimeoutMs,
          clock,
          random,
          log,
          onChange,
        });
      });
      try {
        await session.start(destinations, signal);
        // A missing permission would show in an hour, by dropping every connection: it is tried now, while nothing is lost by it.
        if (!resumeProved) await abortable(session.renewSocket(), { signal });
        resumeProved = true;
        targets.watch(route, session);
        leftovers ??= sweep();
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
    },

    onCredentialsChange(listener) {
      if (credentials === undefined) return () => undefined;
      const stop = watchSecretFiles(credentials.directory, secretKeys.ssm, () => {
        // Other keys may belong to somebody with other permissions.
        resumeProved = false;
        listener();
      });
      unwatch.add(stop);
      return () => {
        unwatch.delete(stop);
        stop();
      };
    },

    async close() {
      for (const stop of unwatch) stop();
      unwatch.clear();
      closed.abort(new TunnelError('NotConnected', 'the driver was closed'));
      await leftovers;
      api.close();
      ecs.close();
    },
  };
}

/** What the session is started for: no host where the destination is the node itself. */
function destinationFromNode(destination: Destination): { readonly host: string | undefined; readonly port: number } {
  if ('socket' in destination) throw new TunnelError('InvalidSpec', 'Session Manager cannot reach a unix socket');
  const { host, port } = destination;
  return { host: isNodeItself(host) ? undefined : host, port };
}

/** Session ids begin with it, and IAM policies name it: letters, digits and some signs, at most 64. */
function roleSessionName(podUid: string): string {
  return `portforward-${podUid.replaceAll(/[^A-Za-z0-9]/g, '')}`.slice(0, 64);
}
