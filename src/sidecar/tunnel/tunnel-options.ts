// What a tunnel is given: its driver, its limits, and who counts what happens to it. Neighbours: sidecar.ts gives it, tunnel.ts keeps it.
import type { Code } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { Driver } from '../base/driver.ts';

export interface TunnelOptions {
  readonly driver: Driver;
  readonly forwards: readonly Forward[];
  /** Sessions kept to the bastion in use, so that the loss or stall of one hits only its share of the streams. */
  readonly sessionsWanted: number;
  /** Whether bastions that are not in use are logged in to every 10 minutes. Default: they are not. */
  readonly checksStandbys?: boolean | undefined;
  readonly mode: 'Persistent' | 'OnDemand';
  /** OnDemand: the sessions are closed after this long without a client connection. */
  readonly idleTimeoutMs: number;
  /** The limit of one dial; OnDemand holds clients as long. */
  readonly connectTimeoutMs: number;
  /** The limit of one attempt to connect. Default: `connectTimeoutMs`. */
  readonly attemptTimeoutMs?: number | undefined;
  /** What the oldest of too many replaced sessions gets before it is ended. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
  /** Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly log: Logger;
  readonly observer: TunnelObserver;
}

export interface TunnelObserver {
  sessionOpened(): void;
  sessionLost(code: Code): void;
  attemptFailed(code: Code): void;
  /** `isCounted`: the native engine has counted the time already. */
  dialled(milliseconds: number, failure: Code | undefined, isCounted?: boolean): void;
}
