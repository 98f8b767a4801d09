// How often a process of this pod died with the native engine loaded and without a last word of JavaScript. Three times within ten minutes,
// and the next one starts without the engine: a tunnel that is slower is better than one that is down.
// Neighbours: data-path.ts asks, main.ts says where the record lies: in a volume of the pod, which outlives the container.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Clock } from '../process/clock.ts';

/** So many within that time keep the engine off. */
const maxCrashes = 3;
const withinMs = 10 * 60_000;

interface Record {
  /** When the engine's process started that has not said goodbye, in milliseconds since 1970. */
  readonly runningSince: number | undefined;
  /** When each of the last crashes was found. */
  readonly crashes: readonly number[];
}

const empty: Record = { runningSince: undefined, crashes: [] };

/** A record that cannot be read or written is an empty one: it never keeps a tunnel from starting. */
export class EngineCrashes {
  readonly #file: string;
  readonly #clock: Clock;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /** Begins a run. False, and none has begun, if the engine has to stay off. */
  begin(): boolean {
    const now = this.#clock.date().getTime();
    const { runningSince, crashes } = this.#read();
    const known = runningSince === undefined ? crashes : [...crashes, now];
    const recent = known.filter((at) => now - at < withinMs && at <= now);
    const isAllowed = recent.length < maxCrashes;
    this.#write({ runningSince: isAllowed ? now : undefined, crashes: recent });
    return isAllowed;
  }

  /** JavaScript had the last word: whatever ended this process, it was not a crash of the engine. Synchronous, for the event 'exit'. */
  end(): void {
    const { crashes } = this.#read();
    if (crashes.length > 0) this.#write({ runningSince: undefined, crashes });
    else rmSync(this.#file, { force: true });
  }

  #read(): Record {
    try {
      const { runningSince, crashes } = JSON.parse(readFileSync(this.#file, 'utf8')) as Partial<Record>;
      return {
        runningSince: typeof runningSince === 'number' ? runningSince : undefined,
        crashes: Array.isArray(crashes) ? crashes.filter((at) => typeof at === 'number') : [],
      };
    } catch {
      return empty;
    }
  }

  #write(record: Record): void {
    try {
      writeFileSync(this.#file, JSON.stringify(record));
    } catch {
      // A folder that cannot be written: crashes are not counted.
    }
  }
}
