// One watch response as objects: splits the body into lines (UTF-8 may be cut anywhere), parses each, and ends a connection that went
// silent.
// Neighbours: transport.ts (the response), cache/reflector.ts (what the events mean).

import { onAbort } from '../../../process/abort.ts';
import type { KubeObject } from '../base/object.ts';
import type { Call, KubeTransport } from './transport.ts';

type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly object: unknown };

export type WatchStream<T extends KubeObject> = AsyncIterable<WatchEvent<T>>;

/** Bookmarks come about every 60 s (measured); after this much silence the connection counts as dead. */
const idleMs = 90_000;

/** etcd holds objects of 1.5 MB; with both managedFields and escapes a line stays far below this. */
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
  call: Call & { readonly idleMs?: number },
): Promise<WatchStream<T>> {
  const silence = new AbortController();
  call.signal.throwIfAborted();
  const listening = onAbort(call.signal, (reason) => silence.abort(reason));
  try {
    const body = await transport.stream({
      method: 'GET',
      path,
      query,
      connectionClass: 'watch',
      repeat: 'never',
      signal: silence.signal,
      deadlineMs: call.deadlineMs ?? 30_000,
    });
    return events<T>(body, silence, call.idleMs ?? idleMs, listening);
  } catch (error) {
    listening[Symbol.dispose]();
    throw error;
  }
}

async function* events<T extends KubeObject>(
  body: AsyncIterable<Uint8Array>,
  silence: AbortController,
  limitMs: number,
  listening: Disposable,
): AsyncGenerator<WatchEvent<T>> {
  const timer = setTimeout(() => silence.abort(new WatchSilent(`the watch was silent for ${limitMs} ms`)), limitMs);
  try {
    for await (const line of lines(body, () => timer.refresh())) {
      yield JSON.parse(line) as WatchEvent<T>;
    }
  } finally {
    clearTimeout(timer);
    listening[Symbol.dispose]();
    // Leaving early (a reader that has seen enough) must free the connection too.
    silence.abort(new Error('the reader left the watch'));
  }
}

/** Lines of a byte stream, without their ends; an unfinished last line is dropped, because half an object is none. */
async function* lines(body: AsyncIterable<Uint8Array>, onChunk: () => void = () => undefined): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of body) {
    onChunk();
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const last = chunk.subarray(start, end);
      // Decoded as a whole line: a character cut between two chunks is put together first.
      const line = (
        pieces.length === 0 ? Buffer.from(last.buffer, last.byteOffset, last.length) : Buffer.concat([...pieces, last])
      ).toString('utf8');
      pieces = [];
      held = 0;
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (start < chunk.length) {
      pieces.push(chunk.subarray(start));
      held += chunk.length - start;
      if (held > maxLineBytes) throw new Error(`a watch line is longer than ${maxLineBytes} bytes`);
    }
  }
}
