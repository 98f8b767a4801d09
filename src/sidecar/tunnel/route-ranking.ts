// In which order routes are tried and which one is preferred: pure, with times passed in.
// Neighbours: routes.ts and trial.ts report failures, session-planner.ts takes the order.

/** A route that failed goes last for this long, and a better one is used again after this long of unbroken health (docs/promises.md, promise 4). */
const penaltyMs = 60_000;

/** Remembers which routes failed lately. A route is identified by its `via`. */
export class RouteRanking {
  readonly #failedAt = new Map<string, number>();

  failed(via: string, now: number): void {
    this.#failedAt.set(via, now);
  }

  /** Routes in the order of trying: the given order of preference, those that failed within 60 s last, the longest ago first. */
  order<R extends { readonly via: string }>(routes: readonly R[], now: number): readonly R[] {
    const penalty = (route: R): number =>
      this.isPenalized(route.via, now) ? (this.#failedAt.get(route.via) ?? 0) : -1;
    return routes.toSorted((a, b) => penalty(a) - penalty(b));
  }

  isPenalized(via: string, now: number): boolean {
    return now < this.penaltyEndsAt(via);
  }

  /** When the route may be tried again although another one carries the clients; -Infinity if it never failed. */
  penaltyEndsAt(via: string): number {
    const failedAt = this.#failedAt.get(via);
    return failedAt === undefined ? Number.NEGATIVE_INFINITY : failedAt + penaltyMs;
  }

  /**
   * When a session of this route that opened at `openedAt` may take over from a worse route's: at once if the route did not fail
   * lately (it merely lost the race by a little), else after 60 s of unbroken health.
   */
  trustedAt(via: string, openedAt: number): number {
    const failedAt = this.#failedAt.get(via);
    if (failedAt === undefined || openedAt - failedAt > 2 * penaltyMs) return openedAt;
    return Math.max(openedAt, failedAt) + penaltyMs;
  }

  /** Forgets routes that no longer exist, so that replaced instances do not pile up. */
  keepOnly(vias: ReadonlySet<string>): void {
    for (const via of this.#failedAt.keys()) if (!vias.has(via)) this.#failedAt.delete(via);
  }

  /** Credentials changed: earlier failures say nothing any more. */
  reset(): void {
    this.#failedAt.clear();
  }
}
