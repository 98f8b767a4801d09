/**
 * Leader election by a Lease, with client-go's rules: of several replicas one works, the others keep their caches warm.
 */
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { Kube } from './kube.ts';
import type { KubeMetrics } from './metrics.ts';
import type { ObjectName } from './object.ts';

/** The lease was lost, or could not be renewed in time. The process must end at once (exit code 1). */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';
}

export interface ElectorTimings {
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export interface ElectorOptions {
  /** Verbs over a transport whose writes are neither fenced nor limited. */
  readonly kube: Kube;
  readonly lease: ObjectName & { readonly namespace: string };
  /** Unique per process, such as `${podName}_${uuid}`. */
  readonly identity: string;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** 15 s, 10 s, 2 s unless told. */
  readonly timings?: ElectorTimings;
}

export class Elector {
  constructor(_options: ElectorOptions) {
    throw new Error('not written yet');
  }

  get isLeader(): boolean {
    throw new Error('not written yet');
  }

  /** Whether nobody else can lead within the next `ms` milliseconds, by our own clock. */
  validFor(_ms: number): boolean {
    throw new Error('not written yet');
  }

  /** A fence for `kubeOver`: throws LeadershipLost unless leadership is valid for another `ms` milliseconds. */
  fence(_ms: number): () => void {
    throw new Error('not written yet');
  }

  /**
   * Waits for leadership, then runs `lead` once. When `signal` aborts and `lead` has ended, the lease is released and
   * this resolves. When leadership is lost, `lead`'s signal aborts and this rejects with LeadershipLost without waiting for it.
   */
  run(_lead: (signal: AbortSignal) => Promise<void>, _signal: AbortSignal): Promise<void> {
    throw new Error('not written yet');
  }
}
