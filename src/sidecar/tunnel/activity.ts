// Whether the tunnel has a reason to be open: always (Persistent), or from the first client until no client was connected for the idle
// timeout (OnDemand). Probes are not activity. Neighbours: tunnel.ts opens and closes its sessions by it.
import type { Clock } from '../../process/clock.ts';

export interface ActivityOptions {
  readonly mode: 'Persistent' | 'OnDemand';
  readonly idleTimeoutMs: number;
  readonly clock: Clock;
  /** Called when `active` changed. */
  readonly onChange: () => void;
}

export class Activity {
  readonly #options: ActivityOptions;
  #clients = 0;
  #active: boolean;
  #closed = false;
  #cancelIdle: (() => void) | undefined;

  constructor(options: ActivityOptions) {
    this.#options = options;
    this.#active = options.mode === 'Persistent';
  }

  get active(): boolean {
    return this.#active;
  }

  clientCame(): void {
    this.#clients += 1;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.#active) return;
    this.#active = true;
    this.#options.onChange();
  }

  clientLeft(): void {
    this.#clients -= 1;
    const { mode, clock, idleTimeoutMs, onChange } = this.#options;
    if (mode === 'Persistent' || this.#clients > 0 || this.#closed) return;
    this.#cancelIdle = clock.after(idleTimeoutMs, () => {
      this.#active = false;
      onChange();
    });
  }

  /** Ends its timer for good. */
  close(): void {
    this.#closed = true;
    this.#cancelIdle?.();
  }
}
