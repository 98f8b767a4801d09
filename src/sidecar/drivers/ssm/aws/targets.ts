// Which nodes or containers a tunnel may go through, in which order. Every pod has its own stable order, by a hash of its UID, so that the
// replicas of a tunnel spread over them; one that failed goes last for a while.
// Neighbours: api.ts and ecs.ts (ask AWS), ecs-target.ts (containers), driver.ts (connects and reports failures).
import { createHash } from 'node:crypto';
import { type Code, TunnelError } from '../../../../contract/errors.ts';
import type { SsmConfig } from '../../../../contract/tunnel-config.ts';
import { onAbort } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { Session } from '../../../base/driver.ts';
import type { SsmApi } from './api.ts';
import type { EcsApi } from './ecs.ts';
import { containerRoutes } from './ecs-target.ts';
import type { SsmRoute } from './ssm-route.ts';

export interface TargetsOptions {
  readonly region: string;
  readonly target: SsmConfig['target'];
  readonly api: Pick<SsmApi, 'findNodes' | 'isConnected'>;
  readonly ecs: EcsApi;
  readonly podUid: string;
  readonly clock: Clock;
}

/** How many nodes are asked whether they are connected, how many at a time, and how many connected ones are enough. */
const maxAsked = 20;
const askedAtOnce = 4;
const enoughConnected = 4;
/** A node or container that failed goes last for this long. */
const penaltyMs = 10 * 60_000;
/** Failures that another node may not have; all others are the identity's or the service's. */
const againstRoute: ReadonlySet<Code> = new Set<Code>([
  'TargetNotConnected',
  'SessionRefused',
  'AgentTooOld',
  'BastionLost',
  'BastionTimeout',
]);

export class Targets {
  readonly #options: TargetsOptions;
  /** When a route failed, by its `via`. */
  readonly #failedAt = new Map<string, number>();

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /** At least one route; if there is a choice, only connected ones. @throws TunnelError, or the signal's reason. */
  async routes(signal: AbortSignal): Promise<readonly SsmRoute[]> {
    const { region, target, api, ecs } = this.#options;
    if ('instanceId' in target) return [routeTo(target.instanceId)];
    if ('ecsTask' in target) {
      return this.#ordered(containerRoutes(target.ecsTask, await ecs.runningTasks(target.ecsTask, signal)));
    }
    const tags = Object.entries(target.tags).map(([key, value]) => `${key}=${value}`);
    const nodes = await api.findNodes(target.tags, signal);
    if (nodes.length === 0) {
      throw new TunnelError(
        'TargetNotFound',
        `no managed node in ${region} carries the tags ${tags.join(', ')}: correct spec.ssm.target.tags, or register a node with them`,
      );
    }
    const connected = await this.#connected(this.#ordered(nodes.map(routeTo)).slice(0, maxAsked), signal);
    if (connected.length > 0) return connected;
    throw new TunnelError(
      'TargetNotFound',
      `no node with the tags ${tags.join(', ')} is connected to Session Manager in ${region}: start one, or its agent`,
    );
  }

  /** Whether the node is connected to the service now. @throws TunnelError if it is not or cannot be asked, or the signal's reason */
  async check(route: SsmRoute, signal: AbortSignal): Promise<void> {
    const { region, api } = this.#options;
    if (await api.isConnected(route.target, signal)) return;
    const error = new TunnelError(
      'TargetNotConnected',
      `node ${route.target} is not connected to Session Manager in ${region}: start it and its SSM agent`,
    );
    this.failed(route, error);
    throw error;
  }

  /** The route failed: if the error is the route's, the others come before it for ten minutes. */
  failed(route: SsmRoute, error: unknown): void {
    if (!(error instanceof TunnelError) || !againstRoute.has(error.code)) return;
    const { clock } = this.#options;
    for (const [via, at] of this.#failedAt) if (clock.now() >= at + penaltyMs) this.#failedAt.delete(via);
    this.#failedAt.set(route.via, clock.now());
  }

  /** Counts the session's silence and loss as failures of its route; they are forgotten once it answers. */
  watch(route: SsmRoute, session: Pick<Session, 'signal' | 'suspect' | 'onSuspectChange'>): void {
    this.#failedAt.delete(route.via);
    session.onSuspectChange(() => {
      if (session.suspect) this.failed(route, new TunnelError('BastionTimeout', `${route.via} is silent`));
      else this.#failedAt.delete(route.via);
    });
    onAbort(session.signal, (reason) => this.failed(route, reason));
  }

  #ordered(routes: readonly SsmRoute[]): readonly SsmRoute[] {
    const { podUid, clock } = this.#options;
    const now = clock.now();
    const penalty = ({ via }: SsmRoute): number => {
      const at = this.#failedAt.get(via);
      return at === undefined || now >= at + penaltyMs ? Number.NEGATIVE_INFINITY : at;
    };
    const rank = ({ target }: SsmRoute): string => createHash('sha256').update(`${podUid}\0${target}`).digest('hex');
    return routes
      .map((route) => ({ route, penalty: penalty(route), rank: rank(route) }))
      .toSorted((a, b) => (a.penalty === b.penalty ? (a.rank < b.rank ? -1 : 1) : a.penalty < b.penalty ? -1 : 1))
      .map(({ route }) => route);
  }

  async #connected(routes: readonly SsmRoute[], signal: AbortSignal): Promise<readonly SsmRoute[]> {
    const { api } = this.#options;
    const connected: SsmRoute[] = [];
    let failure: unknown;
    for (let at = 0; at < routes.length && connected.length < enoughConnected; at += askedAtOnce) {
      const some = routes.slice(at, at + askedAtOnce);
      const answers = await Promise.allSettled(some.map(({ target }) => api.isConnected(target, signal)));
      signal.throwIfAborted();
      for (const [index, answer] of answers.entries()) {
        const route = some[index];
        if (answer.status === 'rejected') failure ??= answer.reason;
        else if (answer.value && route !== undefined) connected.push(route);
      }
    }
    // A node that could not be asked matters only if no other is connected.
    if (connected.length === 0 && failure !== undefined) throw failure;
    return connected;
  }
}

function routeTo(target: string): SsmRoute {
  return { via: target, target };
}
