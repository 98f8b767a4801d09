// Sends spans to an OTLP receiver by HTTP with JSON: in batches, from a queue with a bound, and what cannot be sent is dropped. Tracing must
// never slow or end the work that it is about.
// Neighbours: span.ts (what is sent); contract/tracing.ts says where to. Source: opentelemetry.io/docs/specs/otlp, JSON encoding of version 1.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from './clock.ts';
import { deadline } from './deadline.ts';
import type { Logger } from './log.ts';
import type { Attributes, ReportSpan, Span } from './span.ts';

/** Spans that wait to be sent; more are dropped. At about 400 bytes each. */
const maxQueued = 2_000;
const maxBatch = 500;
const flushEveryMs = 5_000;
const sendLimitMs = 5_000;

export interface OtlpOptions {
  /** The receiver; with a path it is used as it is, else `/v1/traces` of it. */
  readonly endpoint: string;
  /** Names of headers that are sent. */
  readonly headers: readonly string[];
  /** The folder with a file for each header, read before each request: a rotated token is used at once. */
  readonly directory: string;
  /** Who reports, such as `service.name`. */
  readonly resource: Attributes;
  readonly log: Logger;
  /** Default: the system's clock. */
  readonly clock?: Clock;
}

export class OtlpExporter {
  readonly #options: OtlpOptions;
  readonly #clock: Clock;
  readonly #url: string;
  readonly #queue: object[] = [];
  #cancelFlush: (() => void) | undefined;
  #sending: Promise<void> = Promise.resolve();
  #dropped = 0;
  #failing = false;

  constructor(options: OtlpOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { pathname, origin } = new URL(options.endpoint);
    this.#url = `${origin}${pathname === '/' ? '/v1/traces' : pathname}`;
  }

  readonly trace: ReportSpan = (span) => {
    if (this.#queue.length >= maxQueued) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push(spanJson(span));
    this.#cancelFlush ??= this.#clock.after(flushEveryMs, () => void this.flush());
  };

  /** Sends what waits, one request after the other. Resolves when it is sent or given up. */
  flush(): Promise<void> {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#sending = this.#sending.then(async () => {
      while (this.#queue.length > 0) await this.#send(this.#queue.splice(0, maxBatch));
    });
    return this.#sending;
  }

  async #send(spans: readonly object[]): Promise<void> {
    const { headers, directory, resource, log } = this.#options;
    const scope = { name: 'portforward' };
    const body = {
      resourceSpans: [{ resource: { attributes: attributesJson(resource) }, scopeSpans: [{ scope, spans }] }],
    };
    using limit = deadline(sendLimitMs, { clock: this.#clock, what: 'sending traces' });
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        redirect: 'error',
        headers: { ...(await headersOf(headers, directory)), 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: limit.signal,
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
      if (this.#failing || this.#dropped > 0) log.info({ dropped: this.#dropped }, 'traces are sent again');
      this.#failing = false;
      this.#dropped = 0;
    } catch (error) {
      this.#dropped += spans.length;
      if (!this.#failing) log.warn({ error, url: this.#url }, 'traces cannot be sent and are dropped');
      this.#failing = true;
    }
  }
}

/** A header whose file is missing is left out: the receiver's refusal is then in the log. */
async function headersOf(names: readonly string[], directory: string): Promise<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name of names) {
    const value = await readFile(join(directory, name), 'utf8').catch(() => undefined);
    if (value !== undefined) headers[name] = value.trim();
  }
  return headers;
}

function spanJson({ name, begun, ended, attributes, events = [], failure }: Span): object {
  return {
    traceId: randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    name,
    kind: 1,
    startTimeUnixNano: nanoseconds(begun),
    endTimeUnixNano: nanoseconds(ended),
    attributes: attributesJson(attributes),
    events: events.map((event) => ({
      name: event.name,
      timeUnixNano: nanoseconds(event.at),
      attributes: attributesJson(event.attributes),
    })),
    status: failure === undefined ? { code: 1 } : { code: 2, message: failure },
  };
}

const attributesJson = (attributes: Attributes): object[] =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: { stringValue: value } }));

const nanoseconds = (date: Date): string => `${date.getTime()}000000`;
