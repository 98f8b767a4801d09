// Asks tunnel pods how they are: GET /statusz on their admin port, often while something is wrong or just changed, seldom while all is
// well. What a pod answers is not trusted: deadline, size limit, no redirects, texts cleaned and cut.
// Neighbours: watches.ts (tells it of pods), statusz-answer.ts (what an answer means), observed-tunnel.ts (uses the readings).
import { Agent, request } from 'undici';
import { aborted } from '../../process/abort.ts';
import { DeadlineExceeded, deadline } from '../../process/deadline.ts';
import type { Counter } from '../../process/metrics.ts';
import { keyOf, type ObjectKey } from '../kube/base/object.ts';
import type { Pod } from '../kube/base/resources.ts';
import { isReady, isRunning, type Reading } from './observed-tunnel.ts';
import { maxAnswerBytes, parseAnswer } from './statusz-answer.ts';

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
  /** Whether this install asks the pod at all, decided when its turn has come; another one's NetworkPolicy would not let us in. */
  readonly isOurs: (pod: Pod) => boolean;
  /** Called when what is known of a pod has changed, and when it was heard after its readiness changed. */
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
  /** How often its readiness changed, its appearance included, and after how many of these it was heard. */
  changes: number;
  heard: number;
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

  /** Whether the pod's readiness changed and it was not heard since. */
  isDue(pod: Pod): boolean {
    const entry = this.#entries.get(keyOf(pod.metadata));
    return entry !== undefined && entry.pod.metadata.uid === pod.metadata.uid && entry.heard < entry.changes;
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
      const counts = { failures: 0, changes: 1, heard: 0 };
      entry = { pod, timer: undefined, reading: undefined, changedAt: Date.now(), busy: false, ...counts };
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
      // What was heard of a former process, or was not, says nothing of this one.
      entry.reading = undefined;
      entry.failures = 0;
    }
    entry.changes += 1;
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
    for (const entry of this.#entries.values()) this.#schedule(entry, this.#firstPause(entry));
    await aborted(signal);
    this.#signal = undefined;
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#due.clear();
    await this.#agent.destroy();
  }

  #schedule(entry: Entry, ms: number): void {
    clearTimeout(entry.timer);
    if (this.#signal === undefined || !isRunning(entry.pod)) return;
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
      if (!this.#options.isOurs(entry.pod)) {
        this.#schedule(entry, this.#pause(entry));
        continue;
      }
      this.#inFlight += 1;
      entry.busy = true;
      const { changes } = entry;
      void this.#read(entry, this.#signal).finally(() => {
        this.#inFlight -= 1;
        entry.busy = false;
        if (this.#entries.get(keyOf(entry.pod.metadata)) === entry) {
          this.#schedule(entry, entry.changes === changes ? this.#pause(entry) : this.#timings.changedMs);
        }
        this.#work();
      });
    }
  }

  #pause({ pod, reading, changedAt, heard, changes }: Entry): number {
    const { notReadyMs, longMs, longNotReadyMs } = this.#timings;
    const isLong = Date.now() - changedAt > longMs;
    const isDue = heard < changes;
    if (isReady(pod) && (isLong || (isSettled(reading) && !isDue)))
      return this.#readyPause() * (0.8 + 0.4 * Math.random());
    return isLong ? longNotReadyMs : notReadyMs;
  }

  /** Of a pod that was there before us: all of them at once would be too many. */
  #firstPause({ pod }: Entry): number {
    return isReady(pod) ? this.#readyPause() * Math.random() : this.#timings.changedMs;
  }

  #readyPause(): number {
    const { readyMs, readsPerSecond } = this.#timings;
    return Math.max(readyMs, (this.#entries.size / readsPerSecond) * 1_000);
  }

  /** Never rejects. */
  async #read(entry: Entry, signal: AbortSignal): Promise<void> {
    const { pod, changes } = entry;
    const origin = this.#options.originOf(pod);
    try {
      using limit = deadline(this.#timings.deadlineMs, { signal, what: 'reading the status' });
      const status = parseAnswer(await this.#fetch(`${origin}/statusz`, limit.signal));
      entry.failures = 0;
      this.#options.reads?.inc({ result: 'success' });
      this.#note(entry, { status, unreadable: undefined }, changes);
    } catch (error) {
      if (signal.aborted) return;
      entry.failures += 1;
      this.#options.reads?.inc({ result: 'error' });
      if (entry.failures < failuresUntilUnreadable) {
        this.#note(entry, { status: entry.reading?.status, unreadable: undefined }, entry.heard);
        return;
      }
      const unreadable = `the status of pod ${pod.metadata.name} cannot be read from ${origin}: ${why(error)}`;
      this.#note(entry, { status: undefined, unreadable }, changes);
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

  /** `heard`: after how many changes of its readiness the pod was asked. */
  #note(entry: Entry, reading: Reading, heard: number): void {
    const before = entry.reading;
    const same = before !== undefined && JSON.stringify(before) === JSON.stringify(reading);
    const awaited = entry.heard < heard;
    entry.reading = reading;
    entry.heard = heard;
    if (!same) entry.changedAt = Date.now();
    if (!same || awaited) this.#options.onChange(entry.pod);
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
