// In an upgrade or rollback, policies and controller are of different releases for a while: the policies refuse what they admit a moment
// later. Such a refusal is tried again and shown to nobody, unless it lasts.
// Neighbours: ensure-children.ts (asks), cage-check.ts (whether the policies act at all).
import { type Clock, systemClock } from '../process/clock.ts';
import type { ObjectKey } from './kube/base/object.ts';
import { isRefusedBy } from './kube/base/policy-refusal.ts';

/** How long refusals by the install's own policies are the upgrade's doing. */
const graceMs = 120_000;

/** Pause until the next try. */
export const graceRetryMs = 5_000;

export class PolicyGrace {
  readonly #install: string;
  readonly #clock: Clock;
  /** PortForward → when an object of it was first refused, of those whose last pass was refused. */
  readonly #refusedAt = new Map<ObjectKey, number>();

  /** `install`: what the names of its policies begin with; '' if it has none. */
  constructor(install: string, clock: Clock = systemClock) {
    this.#install = install;
    this.#clock = clock;
  }

  /** One pass over the objects of a PortForward. */
  pass(key: ObjectKey): { readonly covers: (error: unknown) => boolean; readonly end: () => void } {
    let refused = false;
    return {
      /** True for a refusal that passes with the upgrade, as far as one can know. */
      covers: (error) => {
        if (!isRefusedBy(error, this.#install)) return false;
        refused = true;
        const now = this.#clock.now();
        const since = this.#refusedAt.get(key) ?? now;
        this.#refusedAt.set(key, since);
        return now - since < graceMs;
      },
      end: () => {
        if (!refused) this.forget(key);
      },
    };
  }

  forget(key: ObjectKey): void {
    this.#refusedAt.delete(key);
  }
}
