// Asks tunnel pods how they are: GET /statusz on their admin port, often while something is wrong or just changed, seldom while all is
// well. What a pod answers is not trusted: deadline, size limit, no redirects, texts cleaned and cut.
// Neighbours: watches.ts (reports pods to it), statusz-answer.ts (parses an answer), observed-tunnel.ts (uses the readings).
import { Agent, request } from 'undici';
import { aborted } from '../../process/abort.ts';
import { type Clock, systemClock } from '../../process/clock.ts';
import { DeadlineExceeded, deadline } from '../../process/deadline.ts';
import type { Counter } from '../../process/metrics.ts';
import { keyOf, type ObjectKey } from '../kube/base/object.ts';
import type { Pod } from '../kube/base/resources.ts';
import { SharedTexts } from '../kube/base/shared-texts.ts';
import { isReady, isRunning, type Reading } from './observed-tunnel.ts';
import { maxAnswerBytes, parseAnswer } from './statusz-answer.ts';

export interface ReaderTimings {
  /** After a pod's readiness changed. */
  readonly changedMs: number;
  /** Between reads of a pod that is not ready, or whose ports are not all known to be reachable. */
  readonly notReadyMs: number;
  /** The same once nothing about the pod has changed for `longMs`. */
  readonly longNotReadyMs: number;
  readonly longMs: number;
  /** Minimum between reads of a ready pod; longer with many pods, so that there are at most `readsPerSecond`. */
  readonly readyMs: number;
  readonly readsPerSecond: number;
  /** Limit of one read, from the TCP handshake to the last byte. */
  readonly deadlineMs: number;
}

const standardTimings: ReaderTimings = {
  changedMs: 500,
  notReadyMs: 2_000,
  longNotReadyMs: 15_000,
  longMs: 5 * 60_000,
  readyMs: 10_000,
  readsPerSecond: 300,
  deadlineMs: 2_000,
};

const maxInFlight = 64;

/** One failed read may be a lost packet; a pod counts as unreadable from the second failure in a row on. */
const failuresUntilUnreadable = 2;

export interface StatuszReaderOptions {
  /** Where a pod's admin port is. */
  readonly originOf: (pod: Pod) => string;
  /** Whether the pod belongs to this install, decided when its turn comes; another install's NetworkPolicy would not let us in. */
  readonly isOurs: (pod: Pod) => boolean;
  /** Called when what is known of a pod has changed, and when an awaited pod was read (see `isAwaited`). */
  readonly onChange: (pod: Pod) => void;
  readonly reads?: Counter<'result'>;
  readonly timings?: ReaderTimings | undefined;
  readonly clock?: Clock;
}

interface Entry {
  pod: Pod;
  /** Cancels the timer of its next read, if any. */
  cancel: () => void;
  reading: Reading | undefined;
  /** Failed reads in a row. */
  failures: number;
  /** When its readiness or what it says last changed. */
  changedAt: number;
  /**
   * A time: its readiness changed then (or it appeared), and no read that began later has ended well or proved it unreadable. `reading`
   * may describe the state before, so status must not be decided by it alone, the pod is read at the pace of one that is not ready, and
   * the next outcome is reported even if it says the same.
   * undefined: `reading` is of the present readiness; only a different one is reported.
   */
  awaitedSince: number | undefined;
  busy: boolean;
}

export class StatuszReader {
  readonly #options: StatuszReaderOptions;
  readonly #timings: ReaderTimings;
  readonly #clock: Clock;
  readonly #entries = new Map<ObjectKey, Entry>();
  /** Pods whose turn has come, in order; a Set, because each waits once. */
  readonly #due = new Set<Entry>();
  readonly #texts = new SharedTexts();
  readonly #agent = new Agent({ connections: 1, keepAliveTimeout: 1_000, allowH2: false, maxOrigins: Infinity });
  #inFlight = 0;
  #signal: AbortSignal | undefined;

  constructor(options: StatuszReaderOptions) {
    this.#options = options;
    this.#timings = options.timings ?? standardTimings;
    this.#clock = options.clock ?? systemClock;
  }

  /** What was last read of a pod; undefined until the first read has ended. */
  reading(pod: Pod): Reading | undefined {
    const entry = this.#entries.get(keyOf(pod.metadata));
    return entry?.pod.metadata.uid === pod.metadata.uid ? entry?.reading : undefined;
  }

  /** Whether the pod's readiness changed and it has not been read since. */
  isAwaited(pod: Pod): boolean {
    const entry = this.#entries.get(keyOf(pod.metadata));
    return entry?.pod.metadata.uid === pod.metadata.uid && entry?.awaitedSince !== undefined;
  }

  /** Pods that are followed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Follows a pod as it is now. `initial`: it existed before us, so its first read comes at a random time within the usual interval. */
  track(pod: Pod, initial = false): void {
    const key = keyOf(pod.metadata);
    let entry = this.#entries.get(key);
    if (entry !== undefined && entry.pod.metadata.uid !== pod.metadata.uid) {
      this.forget(pod);
      entry = undefined;
    }
    const now = this.#clock.now();
    if (entry === undefined) {
      const unread = { reading: undefined, failures: 0, changedAt: now, awaitedSince: now };
      entry = { pod, cancel: () => undefined, busy: false, ...unread };
      this.#entries.set(key, entry);
      this.#schedule(entry, initial ? this.#firstPause(entry) : this.#timings.changedMs);
      return;
    }
    const before = entry.pod;
    const began = isRunning(pod) && !isRunning(before);
    const ended = isRunning(before) && !isRunning(pod);
    entry.pod = pod;
    if (!began && !ended && isReady(before) === isReady(pod) && before.status?.podIP === pod.status?.podIP) return;
    if (began) {
      // Answers and failures of the former process say nothing about this one.
      entry.reading = undefined;
      entry.failures = 0;
    }
    entry.awaitedSince = now;
    entry.changedAt = now;
    this.#schedule(entry, this.#timings.changedMs);
  }

  forget(pod: Pod): void {
    const key = keyOf(pod.metadata);
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.cancel();
    this.#due.delete(entry);
    this.#entries.delete(key);
  }

  /** Reads until the signal aborts; resolves when no request and no timer is left. */
  async run(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#signal = signal;
    for (const entry of this.#entries.values()) this.#schedule(entry, this.#firstPause(entry));
    await aborted(signal);
    this.#signal = undefined;
    for (const entry of this.#entries.values()) entry.cancel();
    this.#due.clear();
    await this.#agent.destroy();
  }

  #schedule(entry: Entry, ms: number): void {
    entry.cancel();
    if (this.#signal === undefined || !isRunning(entry.pod)) return;
    entry.cancel = this.#clock.after(ms, () => {
      this.#due.add(entry);
      this.#work();
    });
  }

  #work(): void {
    for (const entry of this.#due) {
      if (this.#inFlight >= maxInFlight || this.#signal === undefined) return;
      this.#due.delete(entry);
      if (entry.busy) continue;
      if (!this.#options.isOurs(entry.pod)) {
        this.#schedule(entry, this.#pause(entry));
        continue;
      }
      this.#inFlight += 1;
      entry.busy = true;
      const { awaitedSince } = entry;
      void this.#read(entry, this.#signal).finally(() => {
        this.#inFlight -= 1;
        entry.busy = false;
        if (this.#entries.get(keyOf(entry.pod.metadata)) === entry) {
          const changedMeanwhile = entry.awaitedSince !== undefined && entry.awaitedSince !== awaitedSince;
          this.#schedule(entry, changedMeanwhile ? this.#timings.changedMs : this.#pause(entry));
        }
        this.#work();
      });
    }
  }

  #pause({ pod, reading, changedAt, awaitedSince }: Entry): number {
    const { notReadyMs, longMs, longNotReadyMs } = this.#timings;
    const isLong = this.#clock.now() - changedAt > longMs;
    if (isReady(pod) && (isLong || (isSettled(reading) && awaitedSince === undefined)))
      return this.#readyPause() * (0.8 + 0.4 * Math.random());
    return isLong ? longNotReadyMs : notReadyMs;
  }

  /** Of a pod that existed before us: to read all of them at once would be too much. */
  #firstPause({ pod }: Entry): number {
    return isReady(pod) ? this.#readyPause() * Math.random() : this.#timings.changedMs;
  }

  #readyPause(): number {
    const { readyMs, readsPerSecond } = this.#timings;
    return Math.max(readyMs, (this.#entries.size / readsPerSecond) * 1_000);
  }

  /** Never rejects. */
  async #read(entry: Entry, signal: AbortSignal): Promise<void> {
    const { pod, awaitedSince } = entry;
    const origin = this.#options.originOf(pod);
    try {
      using limit = deadline(this.#timings.deadlineMs, {
        signal,
        clock: this.#clock,
        what: 'reading the status',
      });
      const status = this.#texts.share(parseAnswer(await this.#fetch(`${origin}/statusz`, limit.signal)));
      entry.failures = 0;
      this.#options.reads?.inc({ result: 'success' });
      this.#note(entry, { status, unreadable: undefined }, awaitedSince);
    } catch (error) {
      if (signal.aborted) return;
      entry.failures += 1;
      this.#options.reads?.inc({ result: 'error' });
      if (entry.failures < failuresUntilUnreadable) {
        this.#note(entry, { status: entry.reading?.status, unreadable: undefined }, undefined);
        return;
      }
      const unreadable = `the status of pod ${pod.metadata.name} cannot be read from ${origin}: ${why(error)}`;
      this.#note(entry, { status: undefined, unreadable }, awaitedSince);
    }
  }

  async #fetch(url: string, signal: AbortSignal): Promise<string> {
    const { statusCode, body } = await request(url, { dispatcher: this.#agent, signal, reset: true });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
      chunks.push(chunk);
    }
    if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`);
    return Buffer.concat(chunks).toString('utf8');
  }

  /** `answers`: the `awaitedSince` that the read began with, if its outcome is an answer to that; a later change stays unanswered. */
  #note(entry: Entry, reading: Reading, answers: number | undefined): void {
    const before = entry.reading;
    const same = before !== undefined && JSON.stringify(before) === JSON.stringify(reading);
    entry.reading = reading;
    if (entry.awaitedSince === answers) entry.awaitedSince = undefined;
    if (!same) entry.changedAt = this.#clock.now();
    if (!same || answers !== undefined) this.#options.onChange(entry.pod);
  }
}

/** Nothing is expected to change soon: connected with every port reachable, or idle. */
const isSettled = (reading: Reading | undefined): boolean =>
  reading?.status !== undefined &&
  (reading.status.state === 'Idle' || reading.status.ports.every(({ reachable }) => reachable === true));

function why(error: unknown): string {
  if (error instanceof DeadlineExceeded) return 'no answer in time';
  if (!(error instanceof Error)) return 'unknown reason';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
