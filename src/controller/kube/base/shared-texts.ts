// One string for equal strings: what JSON.parse gives has a copy of its own of each "Running", image and namespace in every object.
// Neighbours: ../cache/store.ts and ../../status/statusz-reader.ts (hold what was parsed).

/** Longer ones are hardly ever equal. */
const maxLength = 256;

/** The memory is bounded, and what is common comes again soon after it was forgotten. */
const maxTexts = 5_000;

export class SharedTexts {
  readonly #known = new Map<string, string>();

  /** Replaces, in place, the strings of a value that was just parsed and that nobody else holds; gives it back. */
  share<T>(parsed: T): T {
    if (Array.isArray(parsed)) {
      const list: unknown[] = parsed;
      for (const [at, entry] of list.entries()) list[at] = this.#shared(entry);
    } else if (typeof parsed === 'object' && parsed !== null) {
      const record = parsed as Record<string, unknown>;
      for (const name of Object.keys(record)) record[name] = this.#shared(record[name]);
    }
    return parsed;
  }

  #shared(value: unknown): unknown {
    if (typeof value !== 'string') return this.share(value);
    if (value.length > maxLength) return value;
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    if (this.#known.size >= maxTexts) this.#known.clear();
    this.#known.set(value, value);
    return value;
  }
}
