// An ssh driver whose streams are clients of the native engine: each dial opens a port of its own, and connects to it. So the suites of
// the driver judge the engine's channels as well.
// Neighbours: ssh-world.ts makes drivers for the tests of this folder, ../../support/data-path.ts says which path a run is about.
import { connect, Socket } from 'node:net';
import { TunnelError } from '../../../src/contract/errors.ts';
import { destinationText, type SshConfig } from '../../../src/contract/tunnel-config.ts';
import { onAbort } from '../../../src/process/abort.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { Destination, Driver, Session, SessionDialOptions } from '../../../src/sidecar/base/driver.ts';
import {
  type DialFailure,
  type Engine,
  listenerCells,
  type NativeListener,
} from '../../../src/sidecar/base/native-engine.ts';
import { linkTaker } from '../../../src/sidecar/drivers/ssh/base/ssh2-link.ts';
import type { TakeLink } from '../../../src/sidecar/drivers/ssh/base/take-link.ts';
import { dialTimedOut, noRoom } from '../../../src/sidecar/drivers/ssh/channels/dial-error.ts';
import { createSshDriver, type SshDriverOptions, type SshRoute } from '../../../src/sidecar/drivers/ssh/driver.ts';
import { engineOfRun } from '../../support/data-path.ts';

export interface NativePath {
  readonly takeLink: TakeLink;
  /** The session itself, but that its dials are clients of the engine. */
  through(session: Session): Session;
  close(): void;
}

/** An engine of its own; undefined in a run on the path in JavaScript. */
export function nativePath(budget: ByteBudget): NativePath | undefined {
  const addon = engineOfRun();
  if (addon === undefined) return undefined;
  const engine = new addon.Engine({ budget: budget.cells, budgetTotal: budget.total });
  return {
    takeLink: linkTaker(engine),
    through: (session) => throughEngine(session, engine),
    close: () => engine.close(),
  };
}

/** The driver on the path of this run. */
export function sshDriver(config: SshConfig, options: SshDriverOptions): Driver<SshRoute> {
  const { budget = new ByteBudget() } = options;
  const native = config.jumpHosts.length > 0 ? undefined : nativePath(budget);
  if (native === undefined) return createSshDriver(config, options);
  const driver = createSshDriver(config, { ...options, budget, takeLink: native.takeLink });
  return {
    ...driver,
    connect: async (route, how) => native.through(await driver.connect(route, how)),
    close: async () => {
      await driver.close();
      native.close();
    },
  };
}

function throughEngine(session: Session, engine: Engine): Session {
  const { carrier } = session;
  if (carrier === undefined) return session;
  // The engine's channels count until the far side has closed them, too.
  const streams = new Set<Socket>();
  const own: Partial<Session> & object = {
    get streams() {
      return session.streams + [...streams].filter(({ destroyed }) => !destroyed).length;
    },
    dial: async (destination: Destination, { signal }: SessionDialOptions) => {
      signal.throwIfAborted();
      session.signal.throwIfAborted();
      const stream = await new EngineDial(session, engine, destination).stream(signal);
      streams.add(stream);
      return stream;
    },
  };
  return new Proxy(session, {
    get: (target, key) => {
      const from = key in own ? own : target;
      const value: unknown = Reflect.get(from, key, from);
      return typeof value === 'function' ? value.bind(from) : value;
    },
  });
}

class EngineDial {
  readonly #session: Session;
  readonly #destination: Destination;
  readonly #listener: NativeListener;
  readonly #cells = new Float64Array(listenerCells.length);
  readonly #result = Promise.withResolvers<void>();

  constructor(session: Session, engine: Engine, destination: Destination) {
    this.#cells[listenerCells.places] = 1;
    this.#session = session;
    this.#destination = destination;
    this.#listener = engine.listen({
      host: '127.0.0.1',
      port: 0,
      destination,
      dialTimeoutMs: 60_000,
      cells: this.#cells,
      onClient: (fd, why) => {
        new Socket({ fd }).destroy();
        this.#result.reject(this.#failure(why));
      },
      onAnswered: () => this.#result.resolve(),
      // Not when the client is closed: the engine still reads what it has sent.
      onIdle: () => this.#listener.close(),
    });
    this.#listener.setLinks(session.carrier === undefined ? [] : [session.carrier.link]);
  }

  async stream(signal: AbortSignal): Promise<Socket> {
    const client = connect({ host: '127.0.0.1', port: this.#listener.port, allowHalfOpen: true, noDelay: true });
    client.on('error', () => undefined);
    client.once('close', () => this.#result.reject(this.#failure(undefined)));
    this.#reportAsDriver(client);
    const { via, carrier } = this.#session;
    // The far side may answer and break off at once, and the driver be closed by that before the engine has told the answer.
    using _ended = onAbort(this.#session.signal, () => {
      if (this.#cells[listenerCells.carried] === 1) this.#result.resolve();
      else this.#result.reject(this.#failure(undefined));
    });
    using _given = onAbort(signal, (reason) => {
      if (carrier !== undefined) this.#listener.takeBack(carrier.link);
      this.#result.reject(dialTimedOut(this.#destination, via, reason));
    });
    try {
      await this.#result.promise;
      this.#listener.stopAccepting();
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  #failure(why: DialFailure | undefined): unknown {
    const { signal, carrier, via, hasRoom } = this.#session;
    if (signal.aborted) return signal.reason;
    if (!hasRoom) return noRoom(via, 500);
    if (why?.cause === 'refused') return carrier?.refusalOf(this.#destination, why);
    return new TunnelError('DestinationTimeout', `the engine gave up the dial: ${why?.cause ?? 'no link'}`);
  }

  /** A reset is all that a client sees; a driver says why. */
  #reportAsDriver(client: Socket): void {
    const destroy = client._destroy.bind(client);
    client._destroy = (error, done) => {
      const { signal, via } = this.#session;
      const brokenOff = `${via} broke off the connection to ${destinationText(this.#destination)}`;
      const reason: unknown = signal.aborted ? signal.reason : new TunnelError('BastionLost', brokenOff);
      destroy(error, () => done(error === null ? null : (reason as Error)));
    };
  }
}
