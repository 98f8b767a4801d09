// Walks from here to every destination, hop by hop, with a driver and sessions of its own: the tunnel's are untouched. The walk of a bastion,
// and that of a port behind it, ends at its first fault.
// Neighbours: step-recorder.ts (the steps), advice.ts (commands for a fault), health/probe.ts (the destination's protocol),
// doctor-server.ts runs it in a pod, cli/doctor.ts on a laptop.
import { TunnelError } from '../../contract/errors.ts';
import { destinationText, type Forward, type TunnelConfig } from '../../contract/tunnel-config.ts';
import { type Clock, systemClock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Driver, Route, Session } from '../base/driver.ts';
import { type DriverSurroundings, type OpenedDriver, openDriver } from '../drivers/index.ts';
import { probe } from '../health/probe.ts';
import { adviceFor } from './advice.ts';
import type { WalkStep } from './step.ts';
import { StepRecorder } from './step-recorder.ts';

export interface InspectOptions extends DriverSurroundings {
  readonly config: TunnelConfig;
  /** Ends the walk; everything that it opened is closed before the promise settles. */
  readonly signal: AbortSignal;
  /** Called with each step when it has ended. */
  readonly onStep: (step: WalkStep) => void;
  readonly clock?: Clock | undefined;
  /** Replaces the driver that the config names; for tests. */
  readonly openDriver?: typeof openDriver;
}

/** Tags may name any number of nodes. */
const maxRoutes = 8;
/** How long a driver whose dials resolve early may take to report a refusal. */
const refusalMs = 2_000;

/** Resolves after the last step; each failure is one. @throws the signal's reason */
export async function inspect(options: InspectOptions): Promise<void> {
  const open = options.openDriver ?? openDriver;
  const walk = new Walk(options, await open(withOnePort(options.config), options));
  try {
    await walk.all();
  } finally {
    await walk.close();
  }
  options.signal.throwIfAborted();
}

/** ssm opens a channel to each port of its config at once; the walk goes to one after the other. */
const withOnePort = (config: TunnelConfig): TunnelConfig => ({ ...config, forwards: config.forwards.slice(0, 1) });

class Walk {
  readonly #options: InspectOptions;
  readonly #clock: Clock;
  readonly #opened: OpenedDriver;
  readonly #driver: Driver;
  readonly #recorder: StepRecorder;

  constructor(options: InspectOptions, opened: OpenedDriver) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#opened = opened;
    this.#driver = opened.driver;
    this.#recorder = new StepRecorder(options.onStep);
  }

  async all(): Promise<void> {
    const routes = await this.#routes();
    for (const route of routes.slice(0, maxRoutes)) {
      if (this.#options.signal.aborted) return;
      await this.#through(route, routes.length > 1);
    }
  }

  async close(): Promise<void> {
    await this.#driver.close();
  }

  async #routes(): Promise<readonly Route[]> {
    const { config, signal } = this.#options;
    try {
      using limit = this.#limit(config.driver, signal);
      return await this.#driver.routes({ signal: limit.signal, trace: this.#recorder });
    } catch (error) {
      this.#fail(error);
      return [];
    }
  }

  /** One bastion, and every port behind it. */
  async #through(route: Route, isOneOfMany: boolean): Promise<void> {
    const { config, log, signal } = this.#options;
    const trace = this.#recorder;
    let session: Session | undefined;
    try {
      using limit = this.#limit(route.via, signal);
      session = await this.#driver.connect(route, { signal: limit.signal, log, trace });
      await this.#measure(session);
      trace.succeed();
      for (const forward of config.forwards) {
        if (signal.aborted || session.signal.aborted) break;
        await this.#toPort(forward, session, isOneOfMany ? ` through ${route.via}` : '');
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      await session?.close();
    }
  }

  async #measure(session: Session): Promise<void> {
    if (session.roundTrip === undefined) return;
    using limit = this.#limit(session.via, this.#options.signal);
    const ms = await session.roundTrip({ signal: limit.signal });
    this.#recorder.note(`a round trip takes ${ms.toFixed(1)} ms`);
  }

  async #toPort(forward: Forward, session: Session, through: string): Promise<void> {
    const { config, signal } = this.#options;
    const trace = this.#recorder;
    const where = destinationText(forward.destination);
    // fly resolves names inside of its network, and begins the dial after that.
    trace.begin(config.driver === 'fly' ? 'name' : 'dial', `port ${forward.name}: ${where}${through}`);
    try {
      using limit = deadline(this.#opened.connectTimeoutMs, {
        signal: [signal, session.signal],
        clock: this.#clock,
        reason: () => new TunnelError('DestinationTimeout', `${where} did not answer: allow the bastion to reach it`),
      });
      const stream = await session.dial(forward.destination, { signal: limit.signal, trace });
      stream.on('error', () => undefined);
      const isOptimistic = this.#opened.optimisticDials === true;
      if (!isOptimistic) trace.begin(`protocol ${forward.appProtocol}`);
      await probe(forward, stream, limit.signal, isOptimistic ? { clock: this.#clock, ms: refusalMs } : undefined);
      trace.succeed();
    } catch (error) {
      this.#fail(error, forward);
    }
  }

  #fail(cause: unknown, forward?: Forward): void {
    const { config, signal } = this.#options;
    if (signal.aborted) return;
    const { at } = this.#recorder;
    const error =
      cause instanceof TunnelError
        ? cause
        : new TunnelError('BastionLost', `${at} failed in an unforeseen way: the log of the tunnel has the cause`, {
            cause,
          });
    if (error !== cause) this.#options.log.error({ error: cause, at }, 'doctor failed in an unforeseen way');
    this.#recorder.fail(error, adviceFor(error.code, { config, at, forward }));
  }

  #limit(what: string, signal: AbortSignal) {
    const { attemptTimeoutMs, connectTimeoutMs } = this.#opened;
    const ms = attemptTimeoutMs ?? connectTimeoutMs;
    const reason = () => new TunnelError('BastionTimeout', `${what} did not answer within ${Math.round(ms / 1000)} s`);
    return deadline(ms, { signal, clock: this.#clock, reason });
  }
}
