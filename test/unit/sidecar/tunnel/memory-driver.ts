// A driver without a network, on a clock that moves when it is told to, so that minutes of outage are tested in milliseconds. It keeps the
// promises of the seam (src/sidecar/base/driver.ts). Neighbours: test/driver-suite judges the real drivers, world() is used by every test
// of the tunnel.
import { type Duplex, duplexPair } from 'node:stream';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { destinationText, type Forward } from '../../../../src/contract/tunnel-config.ts';
import { abortable, aborted, anyOf } from '../../../../src/process/abort.ts';
import { sleep } from '../../../../src/process/clock.ts';
import { silentLog } from '../../../../src/process/log.ts';
import type {
  ConnectOptions,
  CredentialsVerdict,
  Destination,
  Driver,
  Route,
  Session,
} from '../../../../src/sidecar/base/driver.ts';
import { Tunnel } from '../../../../src/sidecar/tunnel/tunnel.ts';
import type { TunnelOptions } from '../../../../src/sidecar/tunnel/tunnel-options.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { FakeCarrier } from '../../../support/fake-engine.ts';

/** How a bastion or destination answers: at once, after so many milliseconds, never, or with an error. */
export type Answer =
  | 'accepts'
  | 'silent'
  | TunnelError
  | { readonly afterMs: number; readonly answersAtOnce?: boolean };

export interface Attempt {
  readonly via: string;
  readonly at: number;
  /** The credentials that were on disk. */
  readonly credentials: number;
  ended: boolean;
}

export class MemoryDriver implements Driver {
  readonly clock: FakeClock;
  readonly vias: string[];
  readonly answers = new Map<string, Answer>();
  /** By destination, or by `via destination` where they differ. */
  readonly destinations = new Map<string, Answer>();
  readonly attempts: Attempt[] = [];
  readonly sessions: MemorySession[] = [];
  credentials = 0;
  /** What became of them. Default: every bastion accepts them. */
  verdict: CredentialsVerdict = { isTried: true, refused: new Map() };
  room = 500;
  /** Its sessions carry clients of the native engine. */
  carriesNatively = false;
  /** A session runs over this route, whichever was asked for. Default: over that one. */
  movedTo: string | undefined;
  /** By route, where it can be asked about without a session. */
  checkStandby?: NonNullable<Driver['checkStandby']>;
  readonly #listeners = new Set<() => void>();

  constructor(clock: FakeClock, vias: readonly string[]) {
    this.clock = clock;
    this.vias = [...vias];
  }

  async routes(): Promise<readonly Route[]> {
    return this.vias.map((via) => ({ via }));
  }

  async connect(route: Route, { signal, onAnswer }: ConnectOptions): Promise<Session> {
    signal.throwIfAborted();
    const attempt: Attempt = { via: route.via, at: this.clock.now(), credentials: this.credentials, ended: false };
    this.attempts.push(attempt);
    try {
      await answered(this.clock, this.answers.get(route.via) ?? 'accepts', signal, onAnswer);
    } finally {
      attempt.ended = true;
    }
    const session = new MemorySession(this, this.movedTo ?? route.via);
    this.sessions.push(session);
    return session;
  }

  credentialsVerdict(): CredentialsVerdict {
    return this.verdict;
  }

  onCredentialsChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changeCredentials(): void {
    this.credentials += 1;
    for (const listener of this.#listeners) listener();
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  /** Sessions that are open now. */
  get open(): readonly MemorySession[] {
    return this.sessions.filter((session) => !session.signal.aborted && !session.closed);
  }

  /** What a bastion that dies does: every session of it is lost, and new attempts get the answer. */
  lose(via: string, answer: Answer = refused(via)): void {
    this.answers.set(via, answer);
    for (const session of this.open) if (session.via === via) session.lose();
  }

  /** When attempts to that bastion began. */
  attemptsTo(via: string): readonly number[] {
    return this.attempts.filter((attempt) => attempt.via === via).map((attempt) => attempt.at);
  }
}

export class MemorySession implements Session {
  readonly via: string;
  readonly facts = { hostKeyFingerprint: 'SHA256:test' };
  readonly credentials: number;
  readonly carrier: FakeCarrier | undefined;
  readonly dials: string[] = [];
  closed = false;
  /** It takes no more streams, although it carries none. */
  spent = false;
  /** Since when it has been silent; undefined: it shows signs of life. */
  silentSince: number | undefined;
  /** How often it was asked for a sign of life. */
  asked = 0;
  #suspect = false;
  readonly #driver: MemoryDriver;
  readonly #abort = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #streams = new Map<Duplex, Duplex>();

  constructor(driver: MemoryDriver, via: string) {
    this.#driver = driver;
    this.via = via;
    this.credentials = driver.credentials;
    this.carrier = driver.carriesNatively ? new FakeCarrier(via) : undefined;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  set suspect(suspect: boolean) {
    this.#suspect = suspect;
    for (const listener of this.#listeners) listener();
  }

  onSuspectChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get silentMs(): number {
    return this.silentSince === undefined ? 0 : this.#driver.clock.now() - this.silentSince;
  }

  askForLife(): void {
    this.asked += 1;
  }

  get hasRoom(): boolean {
    return !this.spent && this.#streams.size + (this.carrier?.channels ?? 0) < this.#driver.room;
  }

  get streams(): number {
    return this.#streams.size;
  }

  async dial(destination: Destination, { signal }: { readonly signal: AbortSignal }): Promise<Duplex> {
    signal.throwIfAborted();
    if (this.closed || this.signal.aborted) throw lost(this.via);
    const text = destinationText(destination);
    this.dials.push(text);
    const { destinations, clock } = this.#driver;
    const answer = destinations.get(`${this.via} ${text}`) ?? destinations.get(text) ?? 'accepts';
    using either = anyOf(signal, this.signal);
    await answered(clock, answer, either.signal);
    const [near, far] = duplexPair();
    this.#streams.set(near, far);
    far.on('error', () => undefined);
    near.once('close', () => {
      this.#streams.delete(near);
      far.destroy();
    });
    return near;
  }

  lose(error: TunnelError = lost(this.via)): void {
    if (this.signal.aborted) return;
    this.#abort.abort(error);
    for (const near of this.#streams.keys()) near.destroy(error);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.lose(new TunnelError('BastionLost', 'closed'));
  }
}

async function answered(clock: FakeClock, answer: Answer, signal: AbortSignal, onAnswer?: () => void): Promise<void> {
  if (answer === 'accepts') {
    onAnswer?.();
    return;
  }
  if (answer instanceof TunnelError) throw answer;
  if (answer !== 'silent' && answer.answersAtOnce === true) onAnswer?.();
  if (answer === 'silent') await abortable(aborted(signal), { signal });
  else await sleep(answer.afterMs, { signal, clock });
}

export const refused = (via: string): TunnelError => new TunnelError('BastionRefused', `${via} refuses the connection`);
export const lost = (via: string): TunnelError => new TunnelError('BastionLost', `the session to ${via} was lost`);
export const noLogin = (via: string): TunnelError =>
  new TunnelError('AuthenticationFailed', `${via} does not accept the user`);
export const throttled = (via: string): TunnelError =>
  new TunnelError('BastionRefusing', `${via} closes before it greets`);
export const down = (destination: string): TunnelError =>
  new TunnelError('DestinationRefused', `${destination} refuses the connection`);

export const orders: Forward = {
  name: 'postgres',
  port: 5432,
  listenPort: 0,
  destination: { host: 'orders.db', port: 5432 },
  appProtocol: 'postgresql',
  health: 'Active',
};

export interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly driver: MemoryDriver;
  readonly tunnel: Tunnel;
  /** Every event that the tunnel counted. */
  readonly counted: string[];
}

/** A started tunnel over a memory driver; after the test nothing of it may be left. Default of `random`: always the middle. */
export async function world(vias: readonly string[], options: Partial<TunnelOptions> = {}): Promise<World> {
  const clock = new FakeClock();
  const driver = new MemoryDriver(clock, vias);
  const counted: string[] = [];
  const tunnel = new Tunnel({
    driver,
    forwards: [orders],
    sessionsWanted: 2,
    mode: 'Persistent',
    idleTimeoutMs: 600_000,
    connectTimeoutMs: 10_000,
    drainTimeoutMs: 30_000,
    clock,
    random: () => 0.5,
    log: silentLog(),
    observer: {
      sessionOpened: () => counted.push('opened'),
      sessionLost: (code) => counted.push(`lost ${code}`),
      attemptFailed: (code) => counted.push(`failed ${code}`),
      dialled: (_ms, failure) => counted.push(`dialled ${failure ?? 'ok'}`),
    },
    ...options,
  });
  return {
    clock,
    driver,
    tunnel,
    counted,
    [Symbol.asyncDispose]: async () => {
      await tunnel.close();
      await settle();
      if (driver.open.length > 0) throw new Error(`${driver.open.length} sessions are still open`);
      if (driver.attempts.some((attempt) => !attempt.ended)) throw new Error('an attempt is still under way');
      if (clock.pending > 0) throw new Error(`${clock.pending} timers are still waiting`);
    },
  };
}
