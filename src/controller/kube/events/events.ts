// Events for people (`kubectl describe`): events.k8s.io/v1, repeats merged into a series, floods cut off. Recording never waits and never
// fails: an Event is worth less than the work that it reports. client-go's broadcaster is the model.
// Neighbours: spam-filter.ts, ../../status-writer.ts (records transitions).
import { randomBytes } from 'node:crypto';
import { defined } from '../../../contract/defined.ts';
import { abortable } from '../../../process/abort.ts';
import { type Clock, sleep, systemClock } from '../../../process/clock.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import { ApiError, isAlreadyExists, isNotFound } from '../base/api-error.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import { microTime } from '../base/micro-time.ts';
import { type KubeObject, keyOf } from '../base/object.ts';
import { type Event, events } from '../base/resources.ts';
import type { Kube } from '../rest/kube.ts';
import { SpamFilter } from './spam-filter.ts';

export interface EventInput {
  /** The object the event is about. */
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** UpperCamelCase, why. */
  readonly reason: string;
  /** UpperCamelCase, what was done. */
  readonly action: string;
  /** A sentence; cut at 1024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly kube: Kube;
  /** Such as `portforward.dev/controller`. */
  readonly reportingController: string;
  /** Unique per process. */
  readonly reportingInstance: string;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Repeats of one event, merged into one object. */
interface Series {
  event: Event;
  count: number;
  lastAt: number;
  lastDate: Date;
  /** Whether the API server has the object, and its count. */
  written: 'no' | 'single' | 'series';
}

/** Why an event was not written: too many about one object, too many in all, after the end, refused, or no answer. */
const causes = ['spam', 'queue', 'ended', 'refused', 'unreachable'] as const;

const maxQueued = 1_000;
/** What is older is seldom said again, and each takes 2 KB. */
const maxSeries = 1_000;
const maxNoteBytes = 1_024;
const refreshMs = 30 * 60_000;
const finishMs = 6 * 60_000;
const tries = 12;
const retryMs = 10_000;
const flushMs = 2_000;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #spam: SpamFilter;
  /** By everything, the note too: a series shows the note of its first, which must still be true of its last. In order of last use. */
  readonly #series = new Map<string, Series>();
  /** Series whose object must be written, in order. */
  readonly #queue = new Set<Series>();
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#spam = new SpamFilter(this.#clock);
    for (const cause of causes) options.metrics.eventsDropped.inc({ cause }, 0);
  }

  /** Queues an event and returns at once. Record transitions, not states. */
  record(note: EventInput): void {
    const { reportingController } = this.#options;
    const { regarding, type, reason, action, note: text } = note;
    if (this.#ended || !this.#spam.allows(identityOf(regarding))) {
      this.#drop(this.#ended ? 'ended' : 'spam');
      return;
    }
    const key = JSON.stringify([type, action, reason, text, reportingController, identityOf(regarding)]);
    const series: Series = this.#series.get(key) ?? {
      event: this.#eventOf(note),
      count: 0,
      lastAt: 0,
      lastDate: this.#clock.date(),
      written: 'no',
    };
    series.count += 1;
    series.lastAt = this.#clock.now();
    series.lastDate = this.#clock.date();
    this.#series.delete(key);
    this.#series.set(key, series);
    if (this.#series.size > maxSeries) this.#forgetOldest();
    // The first is written, the second makes it a series at the API server; from then on the refresh updates the count.
    if (series.written !== 'series') this.#enqueue(series);
  }

  /** Writes events until the signal aborts, then what is queued (2 s at most), and resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const housekeeping = this.#keepHouse(signal);
    while (!signal.aborted) {
      const [series] = this.#queue;
      if (series === undefined) {
        await this.#somethingQueued(signal);
        continue;
      }
      this.#queue.delete(series);
      await this.#write(series, signal);
    }
    this.#ended = true;
    using limit = deadline(flushMs, { clock: this.#clock, what: 'writing the last events' });
    for (const series of this.#queue) {
      if (limit.signal.aborted) break;
      await this.#write(series, limit.signal);
    }
    await housekeeping;
  }

  async #write(series: Series, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#writeOnce(series, signal);
        // A repeat that came while the first was on its way.
        if (series.written === 'single' && series.count > 1) this.#enqueue(series);
        return;
      } catch (error) {
        // Asked to stop in the middle of it: the flush tries once more.
        if (signal.aborted && !this.#ended) {
          this.#enqueue(series);
          return;
        }
        // A refusal stays one: the namespace is going, or RBAC is missing.
        if (error instanceof ApiError || attempt >= tries || signal.aborted) {
          this.#options.log.debug({ error, reason: series.event.reason }, 'an event was not written');
          this.#drop(error instanceof ApiError ? 'refused' : 'unreachable');
          return;
        }
        await sleep(retryMs, { signal, clock: this.#clock }).catch(() => undefined);
      }
    }
  }

  async #writeOnce(series: Series, signal: AbortSignal): Promise<void> {
    const { kube } = this.#options;
    const { event } = series;
    if (series.written !== 'no') {
      const patch = { series: { count: series.count, lastObservedTime: microTime(series.lastDate) } };
      try {
        await kube.mergePatch(events, event.metadata, patch, { signal });
        series.written = 'series';
        return;
      } catch (error) {
        // Events live for an hour; a series may outlive its object.
        if (!isNotFound(error)) throw error;
      }
    }
    const again = series.written !== 'no';
    const fresh = again ? { ...event, metadata: { ...event.metadata, name: nameAfter(event.metadata.name) } } : event;
    const body = again
      ? { ...fresh, series: { count: series.count, lastObservedTime: microTime(series.lastDate) } }
      : fresh;
    try {
      await kube.create(events, body, { signal });
    } catch (error) {
      // An earlier try whose answer was lost did arrive.
      if (!isAlreadyExists(error)) throw error;
    }
    series.event = fresh;
    series.written = again ? 'series' : 'single';
  }

  /** Every 6 minutes: forgets ended series (after writing their last count); refreshes long ones every 30 minutes. */
  async #keepHouse(signal: AbortSignal): Promise<void> {
    let refreshedAt = this.#clock.now();
    for (;;) {
      await sleep(finishMs, { signal, clock: this.#clock }).catch(() => undefined);
      if (signal.aborted) return;
      const now = this.#clock.now();
      const refresh = now - refreshedAt >= refreshMs;
      if (refresh) refreshedAt = now;
      for (const [key, series] of this.#series) {
        const finished = now - series.lastAt >= finishMs;
        if (finished) this.#series.delete(key);
        if (series.written === 'series' && (finished || refresh)) this.#enqueue(series);
      }
    }
  }

  #enqueue(series: Series): void {
    if (this.#queue.size >= maxQueued) {
      this.#drop('queue');
      return;
    }
    this.#queue.add(series);
    this.#wake?.();
  }

  async #somethingQueued(signal: AbortSignal): Promise<void> {
    const queued = Promise.withResolvers<void>();
    this.#wake = queued.resolve;
    await abortable(queued.promise, { signal }).catch(() => undefined);
    this.#wake = undefined;
  }

  #forgetOldest(): void {
    for (const key of this.#series.keys()) {
      this.#series.delete(key);
      return;
    }
  }

  #drop(cause: (typeof causes)[number]): void {
    this.#options.metrics.eventsDropped.inc({ cause });
  }

  #eventOf({ regarding, type, reason, action, note }: EventInput): Event {
    const { reportingController, reportingInstance } = this.#options;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: nameAfter(regarding.metadata.name), namespace: regarding.metadata.namespace ?? 'default' },
      eventTime: microTime(this.#clock.date()),
      reportingController,
      reportingInstance: reportingInstance.slice(0, 128),
      type,
      reason,
      action,
      note: cut(note, maxNoteBytes),
      regarding: referenceTo(regarding),
    };
  }
}

/** An Event's name: its object's (or an earlier Event's, whose ending it replaces) and 16 random hexadecimal digits. */
function nameAfter(name: string): string {
  return `${name.replace(/\.[0-9a-f]{16}$/, '').slice(0, 236)}.${randomBytes(8).toString('hex')}`;
}

function referenceTo({ apiVersion, kind, metadata }: KubeObject): NonNullable<Event['regarding']> {
  const { name, namespace, uid, resourceVersion } = metadata;
  return defined({ apiVersion, kind, name, namespace, uid, resourceVersion });
}

/** The same object at any of its versions. */
function identityOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.uid ?? keyOf(metadata)}`;
}

/** At most `bytes` bytes of UTF-8, never half a character. */
function cut(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = bytes;
  // Bytes 10xxxxxx continue a character.
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return encoded.subarray(0, end).toString();
}
