// Leader election by a Lease, with client-go's rules: of several replicas one works, the others keep their caches warm. Whether another's
// lease has expired depends only on how long we have seen it unchanged, never on the times written in it.
// Neighbours: lease-record.ts (what a Lease says), main.ts (runs it), rest/kube.ts (the fence).
import { defined } from '../../../contract/defined.ts';
import { onAbort } from '../../../process/abort.ts';
import { backoffDelay } from '../../../process/backoff.ts';
import { type Clock, sleep, systemClock } from '../../../process/clock.ts';
import type { Logger } from '../../../process/log.ts';
import { isAlreadyExists } from '../base/api-error.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import type { ObjectName, OwnerReference } from '../base/object.ts';
import { type Lease, leases } from '../base/resources.ts';
import type { Kube } from '../rest/kube.ts';
import { claim, type LeaseRecord, recordOf, released, withOwner, withRecord } from './lease-record.ts';

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
  /** Verbs over a transport whose writes are neither fenced nor limited: `createKubeClient(transport, { connectionClass: 'lease' })`. */
  readonly kube: Kube;
  readonly lease: ObjectName & { readonly namespace: string };
  /** Unique per process, such as `${podName}_${uuid}`. */
  readonly identity: string;
  /** What the Lease goes with when it is deleted. Default: it stays. */
  readonly owner?: OwnerReference;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Default: 15 s, 10 s, 2 s. */
  readonly timings?: ElectorTimings;
}

interface Observed {
  readonly lease: Lease;
  readonly record: LeaseRecord;
  /** When we first saw this record, by our clock. */
  readonly at: number;
}

const defaultTimings: ElectorTimings = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };

export class Elector {
  readonly #options: ElectorOptions;
  readonly #timings: ElectorTimings;
  readonly #clock: Clock;
  readonly #log: Logger;
  #observed: Observed | undefined;
  /** Until when nobody else can lead: the start of our last successful claim plus the lease's duration. */
  #validUntil = Number.NEGATIVE_INFINITY;
  #leading = false;

  constructor(options: ElectorOptions) {
    this.#options = options;
    this.#timings = options.timings ?? defaultTimings;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = this.#timings;
    if (!(leaseDurationMs > renewDeadlineMs && renewDeadlineMs > 1.2 * retryPeriodMs && retryPeriodMs > 0)) {
      throw new RangeError('a lease must last longer than its renewal may take, and that longer than one try');
    }
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log.child({
      lease: `${options.lease.namespace}/${options.lease.name}`,
      identity: options.identity,
    });
    this.#options.metrics.leaderStatus.set({ name: options.lease.name }, 0);
    this.#options.metrics.leaderSlowpath.inc({ name: options.lease.name }, 0);
  }

  /** Who held the lease when we last read it; '' if nobody. */
  get holder(): string {
    return this.#observed?.record.holder ?? '';
  }

  /** Milliseconds since our leadership expired; 0 while it is valid or we do not lead. For a liveness check. */
  get expiredForMs(): number {
    return this.#leading ? Math.max(0, this.#clock.now() - this.#validUntil) : 0;
  }

  /** True if nobody else can lead within the next `ms` milliseconds, by our own clock. */
  validFor(ms: number): boolean {
    return this.#leading && this.#clock.now() + ms < this.#validUntil;
  }

  /** A fence for `createKubeClient`: throws LeadershipLost unless leadership is valid for another `ms` milliseconds. */
  fence(ms: number): () => void {
    return () => {
      if (!this.validFor(ms))
        throw new LeadershipLost(`leadership is not certain for another ${ms} ms, so nothing is written`);
    };
  }

  /**
   * Waits for leadership, then runs `lead` once. When `signal` aborts and `lead` has ended, the lease is released and
   * this resolves. When leadership is lost, `lead`'s signal aborts and this rejects with LeadershipLost without waiting for it.
   */
  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    this.#lead(true);
    const leading = new AbortController();
    using _ = onAbort(signal, (reason) => leading.abort(reason));
    const ended = new AbortController();
    const led = lead(leading.signal).finally(() => ended.abort());
    // Renewed until the work has ended, not until it was asked to: what is being drained still writes.
    const renewing = this.#renewUntil(ended.signal);
    try {
      await Promise.race([led, renewing]);
      await led;
      await renewing;
      await this.#release();
    } catch (error) {
      if (error instanceof LeadershipLost) {
        this.#lead(false);
        leading.abort(error);
        led.catch(() => undefined);
      } else {
        await renewing.catch(() => undefined);
        await this.#release();
      }
      throw error;
    } finally {
      ended.abort();
      this.#lead(false);
    }
  }

  /** False if the signal aborted first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    this.#log.info('waiting for leadership');
    while (!signal.aborted) {
      if (await this.#tryClaim(signal)) return true;
      const { retryPeriodMs } = this.#timings;
      // Upwards, as client-go's factor 1.2: candidates that wait for the same lease drift apart.
      const pause = backoffDelay(0, {
        initialMs: 1.2 * retryPeriodMs,
        maxMs: 1.2 * retryPeriodMs,
        jitter: 1 / 6,
        ...defined({ random: this.#options.random }),
      });
      await sleep(pause, { signal, clock: this.#clock }).catch(() => undefined);
    }
    return false;
  }

  /** Resolves when `ended` aborts and no renewal is under way; rejects with LeadershipLost when no claim succeeded for the renew deadline, or another holds the lease. */
  async #renewUntil(ended: AbortSignal): Promise<void> {
    const { retryPeriodMs, renewDeadlineMs } = this.#timings;
    while (!ended.aborted) {
      await sleep(Math.min(retryPeriodMs, this.#renewTimeMs()), { signal: ended, clock: this.#clock }).catch(
        () => undefined,
      );
      if (ended.aborted) return;
      if (await this.#tryClaim(ended)) continue;
      if (ended.aborted) return;
      if (this.holder !== this.#options.identity)
        throw new LeadershipLost(`${this.holder || 'somebody else'} holds the lease`);
      if (this.#renewTimeMs() === 0) {
        throw new LeadershipLost(`the lease could not be renewed for ${renewDeadlineMs} ms`);
      }
    }
  }

  /** One try to take or renew the lease. Never throws: what went wrong is logged, and time decides what it means. */
  async #tryClaim(parent: AbortSignal): Promise<boolean> {
    const started = this.#clock.now();
    const { identity, kube, lease: name, owner } = this.#options;
    const durationSeconds = Math.ceil(this.#timings.leaseDurationMs / 1_000);
    const call = { signal: parent, deadlineMs: this.#requestDeadlineMs() };
    const claimed = (lease: Lease): true => {
      this.#observe(lease);
      this.#validUntil = started + this.#timings.leaseDurationMs;
      return true;
    };
    const claimOver = (before: Observed, signal = parent): Promise<Lease> =>
      kube.replace(
        leases,
        withOwner(withRecord(before.lease, claim(before.record, identity, durationSeconds, this.#clock.date())), owner),
        { ...call, signal },
      );
    try {
      const own = this.#observed;
      if (own?.record.holder === identity && this.#clock.now() < this.#validUntil) {
        try {
          // Not cut off when the work ends: the API server would act on it all the same, and the release needs the version that it made.
          return claimed(await claimOver(own, new AbortController().signal));
        } catch (error) {
          this.#log.debug({ error }, 'the quick renewal failed, reading the lease first');
          this.#options.metrics.leaderSlowpath.inc({ name: name.name });
        }
      }
      const live = await kube.get(leases, name, call);
      if (live === undefined) {
        const record = claim(undefined, identity, durationSeconds, this.#clock.date());
        const fresh: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...name } };
        return claimed(await kube.create(leases, withOwner(withRecord(fresh, record), owner), call));
      }
      const observed = this.#observe(live);
      const { holder, durationSeconds: held } = observed.record;
      if (holder !== '' && holder !== identity && observed.at + held * 1_000 > this.#clock.now()) return false;
      return claimed(await claimOver(observed));
    } catch (error) {
      if (!parent.aborted && !isAlreadyExists(error)) this.#log.warn({ error }, 'the lease could not be claimed');
      return false;
    }
  }

  /** Milliseconds until leadership is given up unless a renewal succeeds. */
  #renewTimeMs(): number {
    const { leaseDurationMs, renewDeadlineMs } = this.#timings;
    return Math.max(0, this.#validUntil - leaseDurationMs + renewDeadlineMs - this.#clock.now());
  }

  /** A request that hangs must leave time for another, and never outlast the renew deadline. */
  #requestDeadlineMs(): number {
    const usual = this.#timings.renewDeadlineMs / 2;
    return this.#leading ? Math.max(100, Math.min(usual, this.#renewTimeMs())) : usual;
  }

  /** Remembers what the lease says; its age counts from the first time we saw exactly this record. */
  #observe(lease: Lease): Observed {
    const record = recordOf(lease);
    const before = this.#observed;
    const same = before !== undefined && JSON.stringify(before.record) === JSON.stringify(record);
    const observed = { lease, record, at: same ? before.at : this.#clock.now() };
    if (before?.record.holder !== record.holder) this.#log.info({ holder: record.holder }, 'the lease has a holder');
    this.#observed = observed;
    return observed;
  }

  /** Lets the next leader take over at once. Best effort: otherwise it waits for the lease to expire. */
  async #release(): Promise<void> {
    const { kube } = this.#options;
    this.#lead(false);
    const observed = this.#observed;
    if (observed?.record.holder !== this.#options.identity) return;
    try {
      const lease = withRecord(observed.lease, released(observed.record, this.#clock.date()));
      await kube.replace(leases, lease, {
        signal: new AbortController().signal,
        deadlineMs: this.#timings.renewDeadlineMs / 2,
      });
      this.#log.info('released the lease');
    } catch (error) {
      this.#log.warn({ error }, 'the lease could not be released');
    }
  }

  #lead(leading: boolean): void {
    if (leading === this.#leading) return;
    this.#leading = leading;
    if (!leading) this.#validUntil = Number.NEGATIVE_INFINITY;
    this.#options.metrics.leaderStatus.set({ name: this.#options.lease.name }, leading ? 1 : 0);
    this.#log.info(leading ? 'leading' : 'no longer leading');
  }
}
