// A clock that moves only when a test says so. Timers fire in order, and what each starts may settle before the next.
// Neighbours: src/process/clock.ts is the real one; every unit test of something that waits takes this one.
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/process/clock.ts';

/** More uses without time moving than any test needs, and few enough to be reached within a second. */
const maxUsesAtOneTime = 100_000;

export class FakeClock implements Clock {
  #now = 0;
  #usesAtThisTime = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  /** @throws if the code under test repeats without a pause. */
  now(): number {
    this.#use();
    return this.#now;
  }

  date(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#now);
  }

  /** @throws if the code under test repeats without a pause. */
  after(ms: number, callback: () => void): () => void {
    this.#use();
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not fired: a leak if a test ends with some. */
  get pending(): number {
    return this.#timers.size;
  }

  /** The process sleeps: timers that were due fire late, all of them before anything that has arrived is read. */
  oversleep(ms: number): void {
    this.#moveTo(this.#now + ms);
    const due = [...this.#timers].filter(({ at }) => at <= this.#now).toSorted((a, b) => a.at - b.at);
    for (const timer of due) if (this.#timers.delete(timer)) timer.callback();
  }

  /** @throws if the code under test repeats without a pause. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      this.#throwIfSpinning();
      const next = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#moveTo(Math.max(this.#now, next.at));
      next.callback();
    }
    this.#moveTo(end);
    await settle();
    this.#throwIfSpinning();
  }

  #moveTo(time: number): void {
    if (time > this.#now) this.#usesAtThisTime = 0;
    this.#now = time;
  }

  /**
   * Code that repeats without a pause may run in promises alone: then no timer fires, not even that of the test's own limit, and no
   * test is named. So the clock itself ends it, and `advance` says it again should that error have been caught.
   */
  #use(): void {
    this.#usesAtThisTime += 1;
    this.#throwIfSpinning();
  }

  #throwIfSpinning(): void {
    if (this.#usesAtThisTime <= maxUsesAtOneTime) return;
    throw new Error(
      `the clock was used ${maxUsesAtOneTime.toLocaleString('en')} times without time moving (it stands at ${this.#now} ms): the code under test repeats something without a pause`,
    );
  }
}

/** Lets everything that waits for nothing but promises run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn();
}
