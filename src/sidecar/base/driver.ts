// The seam between the tunnel and the ways to reach a private network. A driver connects one route and gives a session; the tunnel
// (tunnel.ts) decides when, in which order and how often, and the listeners dial through whichever session is live.
import type { Duplex } from 'node:stream';
import type { TunnelError } from '../../contract/errors.ts';
import type { Destination } from '../../contract/tunnel-config.ts';
import type { Logger } from '../../process/log.ts';

export type { Destination };

/** One way to the private network, e.g. one bastion. The tunnel ranks routes by health; the driver gives their preferred order. */
export interface Route {
  /** `host:port` or an instance id: stable, and what status and sentences show as `via`. */
  readonly via: string;
}

export interface ConnectOptions {
  /** Ends the attempt: everything it opened is closed before the promise settles. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called once the bastion, at the end of the way, has sent its first byte: an attempt that nobody answers for a second is joined by another. */
  readonly onAnswer?: () => void;
}

/** Opens sessions. Everything live belongs to the session; what a driver keeps (parsed keys) is freed by `close`. */
export interface Driver<R extends Route = Route> {
  /** The routes in order of preference, at least one. @throws TunnelError when they cannot be found now. */
  routes(options: { readonly signal: AbortSignal }): Promise<readonly R[]>;
  /** An authenticated session over that route. @throws TunnelError with a code of layer `bastion`; never another error. */
  connect(route: R, options: ConnectOptions): Promise<Session>;
  /** Calls back (debounced) after credentials or trust on disk changed; returns the unsubscribe. */
  onCredentialsChange(listener: () => void): () => void;
  close(): Promise<void>;
}

/** One authenticated connection to a bastion, over which streams to destinations are dialled. */
export interface Session {
  readonly via: string;
  /** Facts for status. */
  readonly facts: { readonly hostKeyFingerprint?: string; readonly sessionId?: string };
  /**
   * A stream to the destination, open when the promise resolves (a driver whose protocol gives no sign resolves early and says so).
   * The stream emits `end` only after the far side's explicit end message; every other ending destroys it with an error.
   * @throws TunnelError of layer `destination` (session stays usable) or `bastion`.
   */
  dial(destination: Destination, options: { readonly signal: AbortSignal }): Promise<Duplex>;
  /** Aborts, with a TunnelError as reason, once the session can carry no more bytes, and before any of its streams ends. */
  readonly signal: AbortSignal;
  /** True while the far side is silent for longer than promised: open streams live on, no new ones are dialled here. */
  readonly suspect: boolean;
  /** Why, where that is known better than as a silence. */
  readonly suspectBecause?: TunnelError | undefined;
  /** Calls back whenever `suspect` changes; returns the unsubscribe. */
  onSuspectChange(listener: () => void): () => void;
  /** Room for another stream; false at the driver's own limit (ssh: 500 channels), then the tunnel uses another session. */
  readonly hasRoom: boolean;
  /** Streams open now. */
  readonly streams: number;
  /** Ends the session and every stream of it; resolves when its sockets and timers are gone. */
  close(): Promise<void>;
}
