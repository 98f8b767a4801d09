/**
 * One watch response as objects: splits the body into lines (UTF-8 may be cut anywhere), parses each, and ends a
 * connection that went silent. What the events mean is the reflector's business.
 */
import type { KubeObject } from './object.ts';

export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly object: unknown };

export type WatchStream<T extends KubeObject> = AsyncIterable<WatchEvent<T>>;
