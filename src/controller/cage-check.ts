// Finds out whether the chart's admission policies restrict this controller: in dry runs it asks the API server for what each of them must
// refuse. Policies can be missing, or be about another account (Kustomize's `namespace:` renames the account, and not the policies' text).
// Neighbours: cage-attempts.ts (what is asked), main.ts (runs it while this process leads).
import { type Clock, sleep, systemClock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import type { Gauge } from '../process/metrics.ts';
import type { Settings } from './base/settings.ts';
import { type CageAttempt, cageAttempts } from './cage-attempts.ts';
import { isAlreadyExists, isApiFailure, isForbidden } from './kube/base/api-error.ts';
import type { KubeObject } from './kube/base/object.ts';
import { isRefusedBy } from './kube/base/policy-refusal.ts';
import type { EventRecorder } from './kube/events/events.ts';
import type { Kube } from './kube/rest/kube.ts';
import { refusalReason } from './status/pod-problems.ts';

export interface CageTimings {
  /** From one look to the next. */
  readonly everyMs: number;
  /** An admitted attempt counts if it is admitted again after this: policies act a moment after an install or upgrade has stored them. */
  readonly confirmMs: number;
  /** To the next look where the API server did not say. */
  readonly retryMs: number;
  /** While the controller is uncaged, from one report to the next: Events live for an hour. */
  readonly repeatMs: number;
}

const standardTimings: CageTimings = {
  everyMs: 10 * 60_000,
  confirmMs: 60_000,
  retryMs: 60_000,
  repeatMs: 60 * 60_000,
};

export interface CageCheckOptions {
  /** Of this client only dry runs are asked. */
  readonly kube: Pick<Kube, 'create'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly settings: Settings;
  /** By policy: 1 while the API server admits what the policy must refuse, 0 while it refuses it; no series while nothing is known. */
  readonly uncaged: Gauge<'policy'>;
  readonly log: Logger;
  readonly timings?: CageTimings | undefined;
  readonly clock?: Clock;
}

type Answer = 'refused' | 'admitted' | 'unknown';

export class CageCheck {
  readonly #options: CageCheckOptions;
  readonly #timings: CageTimings;
  readonly #clock: Clock;
  /** Policy → when its attempt was first admitted; only those that were not refused since. */
  readonly #admittedAt = new Map<string, number>();
  /** Of these, those that were admitted again later. */
  readonly #uncaged = new Set<string>();
  #reported = '';
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(options: CageCheckOptions) {
    this.#options = options;
    this.#timings = options.timings ?? standardTimings;
    this.#clock = options.clock ?? systemClock;
  }

  /** Looks until the signal aborts, then resolves. If this install has no policies, it does nothing. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#options.settings.admissionPolicies === '') return;
    while (!signal.aborted) {
      const pauseMs = await this.#look(signal);
      await sleep(pauseMs, { signal, clock: this.#clock }).catch(() => undefined);
    }
  }

  /** Asks for each policy, and reports; returns the milliseconds until the next look. */
  async #look(signal: AbortSignal): Promise<number> {
    const { everyMs, confirmMs, retryMs } = this.#timings;
    let pauseMs = everyMs;
    for (const attempt of cageAttempts(this.#options.settings.tunnel, this.#clock.date())) {
      const answer = await this.#ask(attempt, signal);
      if (signal.aborted) break;
      this.#note(attempt.policy, answer);
      if (answer === 'unknown') pauseMs = Math.min(pauseMs, retryMs);
    }
    if (this.#admittedAt.size > this.#uncaged.size) pauseMs = Math.min(pauseMs, confirmMs);
    this.#report();
    return pauseMs;
  }

  /** Without an answer the last one stands. */
  #note(policy: string, answer: Answer): void {
    const { uncaged } = this.#options;
    if (answer === 'refused') {
      this.#admittedAt.delete(policy);
      this.#uncaged.delete(policy);
      uncaged.set({ policy }, 0);
    } else if (answer === 'admitted') {
      const now = this.#clock.now();
      const since = this.#admittedAt.get(policy) ?? now;
      this.#admittedAt.set(policy, since);
      if (now - since < this.#timings.confirmMs) return;
      this.#uncaged.add(policy);
      uncaged.set({ policy }, 1);
    }
  }

  async #ask({ policy, resource, object }: CageAttempt, signal: AbortSignal): Promise<Answer> {
    const { kube, settings, log } = this.#options;
    try {
      await kube.create(resource, object, { signal, dryRun: true });
      return 'admitted';
    } catch (error) {
      if (isRefusedBy(error, settings.admissionPolicies)) return 'refused';
      // Both are asked after the policies.
      if (isAlreadyExists(error) || (isForbidden(error) && refusalReason(error.message) === 'QuotaExceeded'))
        return 'admitted';
      if (!signal.aborted && !isApiFailure(error)) throw error;
      log.debug({ error, policy }, 'it is not known whether the admission policy acts');
      return 'unknown';
    }
  }

  #report(): void {
    const { log, events } = this.#options;
    const policies = [...this.#uncaged].join(', ');
    if (policies === '') {
      if (this.#reported !== '') log.info('the admission policies of this install act again');
      this.#reported = '';
      return;
    }
    const now = this.#clock.now();
    if (policies === this.#reported && now - this.#reportedAt < this.#timings.repeatMs) return;
    this.#reported = policies;
    this.#reportedAt = now;
    log.warn({ policies }, 'the API server admits what the admission policies of this install must refuse');
    events.record({
      regarding: this.#ownPod(),
      type: 'Warning',
      reason: 'Uncaged',
      action: 'CheckPolicies',
      note: `The API server admits what the admission policies of this install must refuse (${policies}): nothing restricts what this controller’s account writes. See docs/install.md, "When the policies do not act".`,
    });
  }

  #ownPod(): KubeObject {
    const { podName, podUid, tunnel } = this.#options.settings;
    const metadata = { name: podName, namespace: tunnel.operatorNamespace };
    return { apiVersion: 'v1', kind: 'Pod', metadata: podUid === '' ? metadata : { ...metadata, uid: podUid } };
  }
}
