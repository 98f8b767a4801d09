// Two installs of one class: the second leaves the tunnels of the first alone and reports it, instead of fighting over each object.
// Neighbours: reconcile.ts (asks before each pass), children/install.ts (the mark), tunnel-reconciler.ts (whom to read).

import { apiVersion, kind } from '../contract/api/names.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import type { StoredPortForward } from './base/portforward.ts';
import type { EnsureChildren } from './ensure-children.ts';
import { keyOf, type ObjectKey } from './kube/base/object.ts';
import type { EventRecorder } from './kube/events/events.ts';

export interface OtherInstallOptions {
  /** This install, as its mark says it. */
  readonly install: string;
  readonly children: Pick<EnsureChildren, 'install'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly log: Logger;
  readonly clock?: Clock;
}

interface Told {
  readonly install: string;
  readonly at: number;
}

/** The API server keeps an Event for an hour. */
const tellAgainMs = 60 * 60_000;

export class OtherInstall {
  readonly #options: OtherInstallOptions;
  readonly #clock: Clock;
  readonly #told = new Map<ObjectKey, Told>();

  constructor(options: OtherInstallOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** How many PortForwards another install keeps. */
  get count(): number {
    return this.#told.size;
  }

  /** Whether the last pass found that another install keeps it. */
  has(key: ObjectKey): boolean {
    return this.#told.has(key);
  }

  /** True if another install keeps its objects: then nothing of it may be written. Its watch brings the key back when that changes. */
  keeps(stored: StoredPortForward): boolean {
    const { install: own, children, events, log } = this.#options;
    const key = keyOf(stored.metadata);
    const install = children.install(stored);
    if (install === undefined || install === own) {
      this.#told.delete(key);
      return false;
    }
    const told = this.#told.get(key);
    const now = this.#clock.now();
    if (told?.install !== install || now - told.at >= tellAgainMs) {
      this.#told.set(key, { install, at: now });
      const note = `the install ${install} keeps the objects of this PortForward; ${own}, which serves the same class, changes nothing`;
      log.warn({ portForward: key, install, own }, 'another install of the same class keeps this PortForward');
      events.record({
        regarding: { ...stored, apiVersion, kind },
        type: 'Warning',
        reason: 'ResourceConflict',
        action: 'Reconcile',
        note,
      });
    }
    return true;
  }

  forget(key: ObjectKey): void {
    this.#told.delete(key);
  }
}
