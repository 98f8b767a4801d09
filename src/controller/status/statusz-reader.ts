// Asks tunnel pods how they are: GET /statusz on their admin port, often while something is wrong or just changed, seldom while all is
// well. What a pod answers is not trusted: deadline, size limit, no redirects, texts cleaned and cut.
// Neighbours: watches.ts (tells it of pods), statusz-answer.ts (what an answer means), tunnels.ts (uses the readings).
import { Agent, request } from 'undici';
import { DeadlineExceeded, deadline } from '../../process/deadline.ts';
import type { Counter } from '../../process/metrics.ts';
import { keyOf, type ObjectKey } from '../kube/object.ts';
import type { Pod } from '../kube/resources.ts';
import { maxAnswerBytes, parseAnswer } from './statusz-answer.ts';
import { isReady, type Reading } from './tunnels.ts';

export interface ReaderTimings {
  /** After a pod's readiness changed. */
  readonly changedMs: number;
  /** Between reads of a pod that is not ready, or one of whose ports is not known to be reachable, */
  readonly notReadyMs: number;
  /** and when nothing of it has changed for `longMs`. */
  readonly longNotReadyMs: number;
  readonly longMs: number;
  /** Between reads of a ready pod, at least; more with many pods, so that there are at most `readsPerSecond`. */
  readonly readyMs: number;
  readonly readsPerSecond: number;
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

/** One failed read may be the network's mood; from the second in a row on a pod counts as unreadable. */
const failuresUntilUnreadable = 2;

export interface StatuszReaderOptions {
  /** Where a pod's admin port is. */
  readonly originOf: (pod: Pod) => string;
  /** Called when what is known of a pod has changed. */
  readonly onChange: (pod: Pod) => void;
  readonly reads?: Counter<'result'>;
  readonly timings?: ReaderTimings;
}

interface Entry {
  pod: Pod;
  timer: NodeJS.Timeout | undefined;
  reading: Reading | undefined;
  failures: number;
  /** When its readiness or what it says last changed. */
  changedAt: number;
  busy: boolean;
}

export class StatuszReader {
  readonly #options: StatuszReaderOptions;
  readonly #timings: ReaderTimings;
  readonly #entries = new Map<ObjectKey, Entry>();
  /** Pods that are due, in order; a Set, because each waits once. */
  readonly #due = new Set<Entry>();
  readonly #agent = new Agent({ connections: 1, keepAliveTimeout: 1_000, allowH2: false, maxOrigins: Infinity });
  #inFlight = 0;
  #signal: AbortSignal | undefined;

  constructor(options: StatuszReaderOptions) {
    this.#options = options;
    this.#timings = options.timings ?? standardTimings;
  }

  /** What was read of a pod; undefined until the first read ended. */
  reading(pod: Pod): Reading | undefined {
    const entry = this.#entries.get(keyOf(pod.metadata));
    return entry?.pod.metadata.uid === pod.metadata.uid ? entry?.reading : undefined;
  }

  /** Pods that are followed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Follows a pod as it is now. `initial`: it was there before us, so its turn comes some time within the usual interval. */
  track(pod: Pod, initial = false): void {
    const key = keyOf(pod.metadata);
    let entry = this.#entries.get(key);
    if (entry !== undefined && entry.pod.metadata.uid !== pod.metadata.uid) {
      this.forget(pod);
      entry = undefined;
    }
    if (entry === undefined) {
      entry = { pod, timer: undefined, reading: undefined, failures: 0, changedAt: Date.now(), busy: false };
      this.#entries.set(key, entry);
      this.#schedule(entry, initial && isReady(pod) ? this.#timings.readyMs * Math.random() : this.#timings.changedMs);
      return;
    }
    const changed = isReady(entry.pod) !== isReady(pod) || address(entry.pod) !== address(pod);
    entry.pod = pod;
    if (!changed) return;
    entry.changedAt = Date.now();
    this.#schedule(entry, this.#timings.changedMs);
  }

  forget(pod: Pod): void {
    const key = keyOf(pod.metadata);
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#due.delete(entry);
    this.#entries.delete(key);
  }

  /** Reads until the signal aborts; resolves when no request and no timer is left. */
  async run(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#signal = signal;
    for (const entry of this.#entries.values()) {
      this.#schedule(entry, isReady(entry.pod) ? this.#timings.readyMs * Math.random() : this.#timings.changedMs);
    }
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.#signal = undefined;
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#due.clear();
    await this.#agent.destroy();
  }

  #schedule(entry: Entry, ms: number): void {
    clearTimeout(entry.timer);
    if (this.#signal === undefined || address(entry.pod) === undefined) return;
    entry.timer = setTimeout(() => {
      this.#due.add(entry);
      this.#work();
    }, ms);
  }

  #work(): void {
    for (const entry of this.#due) {
      if (this.#inFlight >= maxInFlight || this.#signal === undefined) return;
      this.#due.delete(entry);
      if (entry.busy) continue;
      this.#inFlight += 1;
      entry.busy = true;
      void this.#read(entry, this.#signal).finally(() => {
        this.#inFlight -= 1;
        entry.busy = false;
        if (this.#entries.get(keyOf(entry.pod.metadata)) === entry) this.#schedule(entry, this.#pause(entry));
        this.#work();
      });
    }
  }

  #pause({ pod, reading, changedAt }: Entry): number {
    const { readyMs, readsPerSecond, notReadyMs, longMs, longNotReadyMs } = this.#timings;
    const isLong = Date.now() - changedAt > longMs;
    if (isReady(pod) && (isLong || isSettled(reading))) {
      const interval = Math.max(readyMs, (this.#entries.size / readsPerSecond) * 1_000);
      return interval * (0.8 + 0.4 * Math.random());
    }
    return isLong ? longNotReadyMs : notReadyMs;
  }

  /** Never rejects. */
  async #read(entry: Entry, signal: AbortSignal): Promise<void> {
    const { pod } = entry;
    const origin = this.#options.originOf(pod);
    try {
      using limit = deadline(signal, this.#timings.deadlineMs, 'reading the status');
      const status = parseAnswer(await this.#fetch(`${origin}/statusz`, limit.signal));
      entry.failures = 0;
      this.#options.reads?.inc({ result: 'success' });
      this.#note(entry, { status, unreadable: undefined });
    } catch (error) {
      if (signal.aborted) return;
      entry.failures += 1;
      this.#options.reads?.inc({ result: 'error' });
      const lasting = entry.failures >= failuresUntilUnreadable;
      this.#note(entry, {
        status: lasting ? undefined : entry.reading?.status,
        unreadable: lasting
          ? `the status of pod ${pod.metadata.name} cannot be read from ${origin}: ${why(error)}`
          : undefined,
      });
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

  #note(entry: Entry, reading: Reading): void {
    const before = entry.reading;
    entry.reading = reading;
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(reading)) return;
    entry.changedAt = Date.now();
    this.#options.onChange(entry.pod);
  }
}

/** Nothing is expected to change soon: connected with every port reachable, or idle. */
const isSettled = (reading: Reading | undefined): boolean =>
  reading?.status !== undefined &&
  (reading.status.state === 'Idle' || reading.status.ports.every(({ reachable }) => reachable === true));

const address = (pod: Pod): string | undefined =>
  pod.metadata.deletionTimestamp === undefined ? pod.status?.podIP : undefined;

function why(error: unknown): string {
  if (error instanceof DeadlineExceeded) return 'no answer in time';
  if (!(error instanceof Error)) return 'unknown reason';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
