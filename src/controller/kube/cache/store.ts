// The cache of one kind: what the reflector last saw, by key, with secondary indexes. Reconciles read from here and
// never ask the API server.
import type { KubeObject, ObjectKey } from '../base/object.ts';
import { SharedTexts } from '../base/shared-texts.ts';
import { Packer } from './packer.ts';

/** What readers may do. Objects are shared and must not be changed. */
export interface ReadStore<T extends KubeObject> {
  get(key: ObjectKey): T | undefined;
  keys(): Iterable<ObjectKey>;
  values(): Iterable<T>;
  readonly size: number;
  /** Whether each read makes a new object of a text (StoreOptions). */
  readonly packed: boolean;
  /** Every object for which the index's function gave `value`; throws if there is no such index. */
  byIndex(index: string, value: string): T[];
  /** Calls `listener` whenever the object of a key goes away (not when it is replaced), before anybody else hears of it. */
  onDelete(listener: (key: ObjectKey, object: T) => void): void;
}

interface Index<T> {
  readonly valuesOf: (object: T) => readonly string[];
  /** A set only of several keys: an owner has one child of a kind, and 50,000 sets of one take 10 MiB. */
  readonly keys: Map<string, ObjectKey | Set<ObjectKey>>;
}

export interface StoreOptions {
  /** Holds each object packed, which takes a tenth of the memory, and unpacks it for each reader. Default: false. */
  readonly packed?: boolean;
}

export class Store<T extends KubeObject> implements ReadStore<T> {
  /** A text where the store is packed. */
  readonly #objects = new Map<ObjectKey, T | string>();
  readonly packed: boolean;
  /** Strings of what is put in unpacked: one for all reflectors that fill it. */
  readonly texts = new SharedTexts();
  readonly #packer = new Packer<T>();
  /** What was unpacked last: a pass reads the same object several times. */
  #unpacked: { readonly key: ObjectKey; readonly object: T } | undefined;
  readonly #indexes = new Map<string, Index<T>>();
  readonly #deleteListeners: ((key: ObjectKey, object: T) => void)[] = [];

  constructor({ packed = false }: StoreOptions = {}) {
    this.packed = packed;
  }

  /** Adds an index; objects already here are indexed too. Names are unique. */
  addIndex(name: string, valuesOf: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) throw new TypeError(`there is an index ${name} already`);
    const index: Index<T> = { valuesOf, keys: new Map() };
    this.#indexes.set(name, index);
    for (const [key, held] of this.#objects) insert(index, key, this.#unpack(held));
  }

  get size(): number {
    return this.#objects.size;
  }

  has(key: ObjectKey): boolean {
    return this.#objects.has(key);
  }

  get(key: ObjectKey): T | undefined {
    if (this.#unpacked?.key === key) return this.#unpacked.object;
    const held = this.#objects.get(key);
    if (held === undefined) return undefined;
    const object = this.#unpack(held);
    if (this.packed) this.#unpacked = { key, object };
    return object;
  }

  keys(): Iterable<ObjectKey> {
    return this.#objects.keys();
  }

  *values(): Iterable<T> {
    for (const held of this.#objects.values()) yield this.#unpack(held);
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new TypeError(`there is no index ${name}`);
    const found: T[] = [];
    for (const key of keysOf(index, value)) {
      const object = this.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** Puts an object in, replacing the one of the same key, which is given back. */
  set(key: ObjectKey, object: T): T | undefined {
    const previous = this.#remove(key);
    this.#objects.set(key, this.packed ? this.#packer.pack(object) : object);
    for (const index of this.#indexes.values()) insert(index, key, object);
    return previous;
  }

  onDelete(listener: (key: ObjectKey, object: T) => void): void {
    this.#deleteListeners.push(listener);
  }

  /** Takes an object out and gives it back. */
  delete(key: ObjectKey): T | undefined {
    const previous = this.#remove(key);
    if (previous !== undefined) for (const listener of this.#deleteListeners) listener(key, previous);
    return previous;
  }

  #unpack(held: T | string): T {
    return typeof held === 'string' ? this.#packer.unpack(held) : held;
  }

  #remove(key: ObjectKey): T | undefined {
    const previous = this.get(key);
    if (previous === undefined) return undefined;
    this.#objects.delete(key);
    this.#unpacked = undefined;
    for (const index of this.#indexes.values()) remove(index, key, previous);
    return previous;
  }
}

function insert<T>(index: Index<T>, key: ObjectKey, object: T): void {
  for (const value of index.valuesOf(object)) {
    const held = index.keys.get(value);
    if (held === undefined) index.keys.set(value, key);
    else if (typeof held !== 'string') held.add(key);
    else if (held !== key) index.keys.set(value, new Set([held, key]));
  }
}

function remove<T>(index: Index<T>, key: ObjectKey, object: T): void {
  for (const value of index.valuesOf(object)) {
    const held = index.keys.get(value);
    if (held === key) index.keys.delete(value);
    else if (typeof held === 'object') {
      held.delete(key);
      if (held.size === 0) index.keys.delete(value);
    }
  }
}

function keysOf<T>({ keys }: Index<T>, value: string): Iterable<ObjectKey> {
  const held = keys.get(value);
  return typeof held === 'string' ? [held] : (held ?? []);
}
