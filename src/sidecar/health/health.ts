// Watches every destination through the tunnel (docs/promises.md, promise 2):
//   Active   probed in its protocol whenever the transport comes up, every interval, and soon after a client's dial failed
//   Passive  one dial whenever the transport comes up, then the clients' own dials; while it is unreachable also a dial per interval,
//            because no client may come to find out that it is back
//   Off      never judged
// MySQL counts broken-off handshakes against the bastion's address: it is asked at most once an interval, whatever happens.
// Neighbours: tunnel.ts dials, probe.ts talks to the destination, reachability.ts keeps the result, status.ts reports it.
import { TunnelError } from '../../contract/errors.ts';
import { destinationText, type Forward, type TunnelConfig } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Logger } from '../../process/log.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { probe } from './probe.ts';
import { Reachability } from './reachability.ts';

export interface HealthOptions {
  readonly tunnel: Pick<Tunnel, 'probe' | 'onChange' | 'snapshot'>;
  readonly forwards: readonly Forward[];
  readonly config: TunnelConfig['healthCheck'];
  /** A dial that has resolved says nothing about the destination yet. */
  readonly optimisticDials: boolean;
  readonly clock: Clock;
  /** Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly log: Logger;
  /** Called after a destination became reachable or unreachable. */
  readonly onChange: () => void;
}

interface Watched {
  readonly forward: Forward;
  readonly reachability: Reachability;
  cancelTimer?: (() => void) | undefined;
  isProbing: boolean;
  probedAt: number;
}

/** How long the refusal of a destination takes at most to come back: agents are hundreds of milliseconds away. */
const refusalMs = 2_000;

/** Clients that fail together ask for one probe. */
const afterFailureMs = 1_000;

/** Pods and ports that were started together are not probed together. */
const jitter = 0.1;

export class Health {
  readonly #options: HealthOptions;
  readonly #watched: ReadonlyMap<string, Watched>;
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;
  #isUp = false;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#watched = new Map(
      options.forwards.map((forward) => [
        forward.name,
        {
          forward,
          reachability: new Reachability(options.config.failureThreshold),
          isProbing: false,
          probedAt: Number.NEGATIVE_INFINITY,
        },
      ]),
    );
    this.#unsubscribe = options.tunnel.onChange(() => this.#transportChanged());
    this.#transportChanged();
  }

  /** What is known of that forward's destination; undefined if there is no such forward or it is not judged. */
  of(forwardName: string): Reachability | undefined {
    const watched = this.#watched.get(forwardName);
    return watched === undefined || watched.forward.health === 'Off' ? undefined : watched.reachability;
  }

  /** A client's own dial showed something about the destination. */
  recordDial(forward: Forward, failure: TunnelError | undefined): void {
    const watched = this.#watched.get(forward.name);
    if (watched === undefined || forward.health === 'Off') return;
    if (forward.health === 'Passive') this.#record(watched, failure);
    else if (failure?.layer === 'destination') this.#probeSoon(watched);
  }

  /** Ends every timer and probe. */
  close(): void {
    this.#stop.abort(new TunnelError('NotConnected', 'the tunnel is stopping'));
    this.#unsubscribe();
    for (const watched of this.#watched.values()) watched.cancelTimer?.();
  }

  #transportChanged(): void {
    const { state } = this.#options.tunnel.snapshot;
    const isUp = state === 'Connected';
    if (state === 'Idle') for (const { reachability } of this.#watched.values()) reachability.forget();
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    for (const watched of this.#watched.values()) {
      watched.cancelTimer?.();
      watched.cancelTimer = undefined;
      if (isUp) this.#transportIsUp(watched);
    }
  }

  #transportIsUp(watched: Watched): void {
    const { forward, reachability } = watched;
    if (forward.health === 'Off') return;
    if (forward.appProtocol !== 'mysql') void this.#probeNow(watched);
    // What is known of a destination does not change with the way to it, and clients show the rest.
    else if (forward.health === 'Active' || reachability.reachable !== true) this.#probeSoon(watched);
  }

  /** Probes as soon as it does no harm; nothing changes if a probe is under way, or due before that. */
  #probeSoon(watched: Watched): void {
    const { clock, config } = this.#options;
    if (!this.#isUp || watched.isProbing || this.#stop.signal.aborted) return;
    const pause = watched.forward.appProtocol === 'mysql' ? config.intervalSeconds * 1000 : afterFailureMs;
    watched.cancelTimer?.();
    const wait = Math.max(0, watched.probedAt + pause - clock.now());
    watched.cancelTimer = clock.after(wait, () => void this.#probeNow(watched));
  }

  async #probeNow(watched: Watched): Promise<void> {
    if (watched.isProbing) return;
    watched.isProbing = true;
    watched.cancelTimer?.();
    watched.cancelTimer = undefined;
    const startedAt = this.#options.clock.now();
    watched.probedAt = startedAt;
    try {
      await this.#dialAndProbe(watched.forward);
      this.#record(watched, undefined);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (error instanceof TunnelError) this.#record(watched, error);
      else this.#options.log.error({ error, forward: watched.forward.name }, 'a probe failed in an unforeseen way');
    } finally {
      watched.isProbing = false;
    }
    this.#plan(watched, startedAt);
  }

  /** Sets the timer for the next probe: an interval after the start of the last one, however long that took. None if clients' dials show enough. */
  #plan(watched: Watched, since = this.#options.clock.now()): void {
    watched.cancelTimer?.();
    watched.cancelTimer = undefined;
    const { forward, reachability } = watched;
    if (!this.#isUp || this.#stop.signal.aborted || watched.isProbing) return;
    if (forward.health === 'Off' || (forward.health === 'Passive' && reachability.reachable === true)) return;
    const { clock, config, random = Math.random } = this.#options;
    const wait = config.intervalSeconds * 1000 * (1 - jitter * random());
    watched.cancelTimer = clock.after(Math.max(0, since + wait - clock.now()), () => void this.#probeNow(watched));
  }

  async #dialAndProbe(forward: Forward): Promise<void> {
    const { tunnel, clock, config, optimisticDials } = this.#options;
    const where = destinationText(forward.destination);
    const late = (): TunnelError =>
      new TunnelError(
        'DestinationTimeout',
        `${where} did not answer within ${config.timeoutSeconds} s: allow the bastion to reach it, and check the service there`,
      );
    using limit = deadline(config.timeoutSeconds * 1000, { signal: this.#stop.signal, clock, reason: late });
    const { stream } = await tunnel.probe(forward, limit.signal);
    const patience = { clock, ms: Math.min(refusalMs, config.timeoutSeconds * 500) };
    await probe(forward, stream, limit.signal, optimisticDials ? patience : undefined);
  }

  #record(watched: Watched, failure: TunnelError | undefined): void {
    // What a bastion did says nothing about the destination behind it.
    if (failure !== undefined && failure.layer !== 'destination') return;
    const { forward, reachability } = watched;
    if (reachability.record(failure)) {
      const { log, onChange } = this.#options;
      const fields = { forward: forward.name, destination: destinationText(forward.destination) };
      if (failure === undefined) log.info(fields, 'destination is reachable');
      else log.info({ ...fields, reason: failure.code, message: failure.message }, 'destination is not reachable');
      onChange();
    }
    // A passive destination that has just failed a client is probed until it is back.
    if (watched.cancelTimer === undefined) this.#plan(watched);
  }
}
