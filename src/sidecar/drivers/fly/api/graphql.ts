// One request to fly.io's GraphQL API, within its time, as often as makes sense; and what its failures mean. The token stands in a header
// and nowhere else; texts of the API are quoted, cut and never form our sentences alone.
// Neighbours: operations.ts names the requests, token.ts makes the header.
import type { Dispatcher, request } from 'undici';
import { z } from 'zod';
import { TunnelError } from '../../../../contract/errors.ts';
import { backoffDelay } from '../../../../process/backoff.ts';
import { type Clock, sleep } from '../../../../process/clock.ts';
import { deadline } from '../../../../process/deadline.ts';

export interface GraphqlOptions {
  /** `https://api.fly.io`, without a path. */
  readonly baseUrl: string;
  /** The Authorization header for the next request; asked anew each time. @throws TunnelError TokenMissing */
  readonly authorization: () => Promise<string>;
  /** HTTPS_PROXY, NO_PROXY. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export interface GraphqlRequest<T> {
  readonly operation: string;
  readonly document: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly answer: z.ZodType<T>;
  /** True where asking twice has no effect beyond the first: only then a broken connection is tried again. */
  readonly repeatable: boolean;
  /** The Authorization header. Default: that of the options. */
  readonly authorization?: string | undefined;
}

/** An error that the API reports; who asked knows what it means. */
export class FlyApiError extends Error {
  override readonly name = 'FlyApiError';
  /** `UNAUTHORIZED`, `NOT_FOUND`, …; empty where the API gives none. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Three of them fit into the 30 s of an attempt. */
const requestMs = 8_000;
const maxAnswerBytes = 1024 * 1024;
const maxTries = 3;
const pauses = { initialMs: 300, maxMs: 2_000 };
const failureSchema = z.object({
  errors: z
    .array(z.object({ message: z.string(), extensions: z.object({ code: z.string().optional() }).optional() }))
    .optional(),
  data: z.unknown(),
});

interface Http {
  readonly request: typeof request;
  readonly dispatcher: Dispatcher;
}

/** Of all drivers only this one needs the library. */
async function openHttp({ environment }: GraphqlOptions): Promise<Http> {
  const { EnvHttpProxyAgent, request } = await import('undici');
  const { HTTPS_PROXY, https_proxy, NO_PROXY, no_proxy } = environment;
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: '',
    httpsProxy: HTTPS_PROXY ?? https_proxy ?? '',
    noProxy: NO_PROXY ?? no_proxy ?? '',
  });
  return { request, dispatcher };
}

export class Graphql {
  readonly #options: GraphqlOptions;
  #http: Promise<Http> | undefined;

  constructor(options: GraphqlOptions) {
    this.#options = options;
  }

  /** @throws FlyApiError for what the API refuses, TunnelError FlyApiFailed where it cannot be asked, or the signal's reason */
  async ask<T>(query: GraphqlRequest<T>, { signal }: { readonly signal: AbortSignal }): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#once(query, signal);
      if ('answer' in outcome) return outcome.answer;
      if (attempt + 1 >= maxTries || !outcome.again) throw outcome.failure;
      const pause = Math.max(outcome.retryAfterMs, backoffDelay(attempt, pauses));
      await sleep(pause, { signal, clock: this.#options.clock });
    }
  }

  async close(): Promise<void> {
    const http = await this.#http;
    await http?.dispatcher.close();
  }

  async #once<T>(
    { operation, document, variables, answer, repeatable, authorization }: GraphqlRequest<T>,
    signal: AbortSignal,
  ): Promise<{ readonly answer: T } | Failure> {
    const { baseUrl, clock } = this.#options;
    using limit = deadline(requestMs, { signal, clock, what: `the request ${operation}` });
    const header = authorization ?? (await this.#options.authorization());
    const headers = { authorization: header, 'content-type': 'application/json' };
    const body = JSON.stringify({ operationName: operation, query: document, variables });
    try {
      this.#http ??= openHttp(this.#options);
      const { request, dispatcher } = await this.#http;
      const url = new URL('/graphql', baseUrl);
      const response = await request(url, { method: 'POST', headers, body, signal: limit.signal, dispatcher });
      const text = await limitedText(response.body);
      if (response.statusCode === 200) return { answer: readAnswer(text, answer) };
      return refusedStatus(response.statusCode, operation, response.headers['retry-after']);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof FlyApiError) return { failure: cause, again: false, retryAfterMs: 0 };
      const failure = new TunnelError('FlyApiFailed', `fly.io’s API did not answer the request ${operation}`, {
        cause,
      });
      return { failure, again: repeatable, retryAfterMs: 0 };
    }
  }
}

interface Failure {
  readonly failure: Error;
  readonly again: boolean;
  readonly retryAfterMs: number;
}

function refusedStatus(status: number, operation: string, retryAfter: string | string[] | undefined): Failure {
  const seconds = Number(retryAfter);
  if (status === 401 || status === 403) {
    return { failure: new FlyApiError('UNAUTHORIZED', `status ${status}`), again: false, retryAfterMs: 0 };
  }
  return {
    failure: new TunnelError('FlyApiFailed', `fly.io’s API answered the request ${operation} with status ${status}`),
    again: status === 429 || status === 502 || status === 503 || status === 504,
    retryAfterMs: Number.isFinite(seconds) ? Math.min(10_000, Math.max(0, seconds * 1000)) : 0,
  };
}

function readAnswer<T>(text: string, schema: z.ZodType<T>): T {
  const { errors, data } = failureSchema.parse(JSON.parse(text));
  const first = errors?.[0];
  if (first !== undefined) throw new FlyApiError(first.extensions?.code ?? '', first.message);
  return schema.parse(data);
}

async function limitedText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxAnswerBytes) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
