// Tells who listens that a document has changed. Neighbour: sidecar.ts has one for its status.

/** Calls its listeners when a text differs from the last one. */
export class Changes {
  readonly #read: () => string;
  readonly #listeners = new Set<() => void>();
  #last = '';

  constructor(read: () => string) {
    this.#read = read;
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  check(): void {
    if (this.#listeners.size === 0) return;
    const text = this.#read();
    if (text === this.#last) return;
    this.#last = text;
    for (const listener of this.#listeners) listener();
  }
}
