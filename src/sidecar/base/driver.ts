// The seam between the tunnel and the ways to reach a private network. A driver opens a session over one route; the tunnel decides when,
// in which order and how often, and the listeners dial over the live session. Neighbours: tunnel/tunnel.ts, drivers/index.ts.
import type { Duplex } from 'node:stream';
import type { TunnelError } from '../../contract/errors.ts';
import type { Destination } from '../../contract/tunnel-config.ts';
import type { Logger } from '../../process/log.ts';
import type { NativeCarrier } from './carrier.ts';
import type { Trace } from './trace.ts';

export type { Destination };

/** One way to the private network, e.g. one bastion. The tunnel ranks routes by health; the driver gives their preferred order. */
export interface Route {
  /** `host:port` or an instance id: stable; status and sentences show it as `via`. */
  readonly via: string;
}

export interface RouteOptions {
  readonly signal: AbortSignal;
  /** Is told the steps of the search. Default: nobody is. */
  readonly trace?: Trace | undefined;
}

export interface ConnectOptions {
  /** Ends the attempt: everything that it opened is closed before the promise settles. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called at the bastion's first byte (not a jump host's): if none arrives within a second, another attempt joins this one. */
  readonly onAnswer?: () => void;
  /** Is told the steps of the attempt. Default: nobody is. */
  readonly trace?: Trace | undefined;
}

export interface SessionDialOptions {
  readonly signal: AbortSignal;
  /** Is told what the far side says about a refusal. Default: nobody is. */
  readonly trace?: Trace | undefined;
}

/** Opens sessions. Sockets and timers belong to the session; `close` frees what the driver itself keeps, such as parsed keys. */
export interface Driver<R extends Route = Route> {
  /** The routes in order of preference, at least one. @throws TunnelError if they cannot be found now. */
  routes(options: RouteOptions): Promise<readonly R[]>;
  /** Opens an authenticated session over the route. @throws TunnelError with a code of layer `bastion`; never another error. */
  connect(route: R, options: ConnectOptions): Promise<Session>;
  /**
   * Asks whether the route could carry, without a trace at the far side. Absent: a session is opened for that and closed again.
   * @throws TunnelError if it could not, or cannot be asked now
   */
  checkStandby?(route: R, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Calls back (debounced) after credentials or trust on disk changed; returns the unsubscribe. */
  onCredentialsChange(listener: () => void): () => void;
  /** What became of the credentials that are on disk now. Absent: the driver uses none of ours. */
  readonly credentialsVerdict?: (() => CredentialsVerdict) | undefined;
  close(): Promise<void>;
}

export interface CredentialsVerdict {
  /** False until a login with what is on disk now has succeeded or was refused. */
  readonly isTried: boolean;
  /** By route: why what is on disk now was refused or cannot be used, also where an earlier content still carries. */
  readonly refused: ReadonlyMap<string, TunnelError>;
}

/** One authenticated connection to a bastion, over which streams to destinations are dialled. */
export interface Session {
  readonly via: string;
  /** Facts for status. */
  readonly facts: {
    readonly hostKeyFingerprint?: string;
    /** How bytes of clients go (ssh). */
    readonly dataPath?: 'Native' | 'JavaScript';
    readonly sessionId?: string;
    readonly transport?: string;
    /** The largest message to the far side now, in bytes, where a larger one may not be carried. */
    readonly messageBytes?: number;
    /** RFC 3339, of the last WireGuard handshake. */
    readonly handshakeAt?: string | undefined;
  };
  /**
   * Opens a stream to the destination. It is open when the promise resolves; a driver whose protocol does not confirm that resolves early
   * and declares it (drivers/index.ts).
   * The stream emits `end` only after an explicit end message of the far side; any other ending destroys it with an error.
   * @throws TunnelError of layer `destination` (session stays usable) or `bastion`.
   */
  dial(destination: Destination, options: SessionDialOptions): Promise<Duplex>;
  /** Aborts with a TunnelError once the session can carry no more bytes, before any of its streams ends. */
  readonly signal: AbortSignal;
  /** True while the far side is silent for too long: open streams stay, but no new ones are dialled here. */
  readonly suspect: boolean;
  /**
   * Milliseconds since the far side's last sign of life. Absent: silence is not judged, or no dial waits for the far side (ssm: its streams
   * open without an answer, and one that cannot leave fails after 2 s).
   */
  readonly silentMs?: number | undefined;
  /** Asks the far side for a sign of life. */
  askForLife?(): void;
  /** Why it is suspect, if more is known than silence. */
  readonly suspectBecause?: TunnelError | undefined;
  /** Calls back whenever `suspect` changes; returns the unsubscribe. */
  onSuspectChange(listener: () => void): () => void;
  /** Through it the native engine carries clients over this session. Absent: it cannot. */
  readonly carrier?: NativeCarrier | undefined;
  /** False at the driver's own limit of streams (ssh: 500 channels, the engine's as well); the tunnel then uses another session. */
  readonly hasRoom: boolean;
  /** Streams open now, without the engine's channels. */
  readonly streams: number;
  /** Milliseconds from a question of the driver's own protocol to its answer, without any destination. Absent: the protocol has none. */
  roundTrip?(options: { readonly signal: AbortSignal }): Promise<number>;
  /** Ends the session and every stream of it; resolves when its sockets and timers are gone. */
  close(): Promise<void>;
}
