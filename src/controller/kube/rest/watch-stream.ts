// One watch response as objects: splits the body into lines (UTF-8 may be cut anywhere), parses what the outline keeps of each, and ends
// a connection that went silent.
// Neighbours: transport.ts (the response), json-sieve.ts (the outline), cache/reflector.ts (what the events mean).

import { defined } from '../../../contract/defined.ts';
import { onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import type { KubeObject } from '../base/object.ts';
import { eventOutline, type Outline } from '../base/outline.ts';
import { JsonSieve } from './json-sieve.ts';
import type { Call, KubeTransport } from './transport.ts';

type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly object: unknown };

export type WatchStream<T extends KubeObject> = AsyncIterable<WatchEvent<T>>;

/** Bookmarks come about every 60 s (measured); after this much silence the connection counts as dead. */
const idleMs = 90_000;

/** How long the head of the answer may take. It comes before any object is read. */
const openingMs = 30_000;

/** The most that is kept of a line. etcd holds objects of 1.5 MB; with escapes they stay far below this. */
const maxLineBytes = 16 << 20;

/** Nothing came for `idleMs`. */
class WatchSilent extends Error {
  override readonly name = 'WatchSilent';
}

/** Opens a watch. The stream ends cleanly only if the server ended it; aborting the signal or silence makes it throw. */
export async function openWatch<T extends KubeObject>(
  transport: KubeTransport,
  path: string,
  query: URLSearchParams,
  call: Call & { readonly idleMs?: number; readonly outline?: Outline; readonly accept?: string },
): Promise<WatchStream<T>> {
  const silence = new AbortController();
  const limitMs = call.idleMs ?? idleMs;
  call.signal.throwIfAborted();
  const listening = onAbort(call.signal, (reason) => silence.abort(reason));
  try {
    const body = await transport.stream({
      method: 'GET',
      path,
      query,
      ...defined({ accept: call.accept }),
      connectionClass: 'watch',
      repeat: 'never',
      signal: silence.signal,
      deadlineMs: call.deadlineMs ?? Math.min(openingMs, limitMs),
    });
    const sieve = new JsonSieve(eventOutline(call.outline ?? true), {
      what: `a line of the watch ${path}`,
      maxBytes: maxLineBytes,
    });
    return events<T>(body, { sieve, silence, limitMs, listening, clock: transport.clock });
  } catch (error) {
    listening[Symbol.dispose]();
    throw error;
  }
}

interface Reading {
  readonly sieve: JsonSieve;
  readonly silence: AbortController;
  readonly limitMs: number;
  readonly listening: Disposable;
  readonly clock: Clock;
}

async function* events<T extends KubeObject>(
  body: AsyncIterable<Uint8Array>,
  { sieve, silence, limitMs, listening, clock }: Reading,
): AsyncGenerator<WatchEvent<T>> {
  let heardAt = clock.now();
  const look = (): void => {
    const leftMs = heardAt + limitMs - clock.now();
    if (leftMs > 0) cancel = clock.after(leftMs, look);
    else silence.abort(new WatchSilent(`the watch was silent for ${limitMs} ms`));
  };
  let cancel = clock.after(limitMs, look);
  const heard = (): void => {
    heardAt = clock.now();
  };
  try {
    for await (const line of lines(body, sieve, heard)) {
      yield JSON.parse(line) as WatchEvent<T>;
    }
  } finally {
    cancel();
    listening[Symbol.dispose]();
    // Leaving early (a reader that has seen enough) must free the connection too.
    silence.abort(new Error('the reader left the watch'));
  }
}

/** What the sieve keeps of each line of a byte stream; an unfinished last line is dropped, because half an object is none. */
async function* lines(body: AsyncIterable<Uint8Array>, sieve: JsonSieve, onChunk: () => void): AsyncGenerator<string> {
  for await (const chunk of body) {
    onChunk();
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      sieve.push(chunk.subarray(start, end));
      const line = sieve.take();
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    sieve.push(chunk.subarray(start));
  }
}
