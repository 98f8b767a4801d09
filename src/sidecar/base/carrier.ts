// A session over which the native engine carries clients: what tunnel and listeners know of it. Sessions without one carry in JavaScript.
// Neighbours: driver.ts (Session.carrier), native-engine.ts (the engine), tunnel/carriers.ts (which sessions carry),
// clients/native-clients.ts (clients that the engine gives up).
import type { TunnelError } from '../../contract/errors.ts';
import type { Destination } from '../../contract/tunnel-config.ts';
import type { DialFailure, NativeLink } from './native-engine.ts';

export interface NativeCarrier {
  readonly via: string;
  readonly link: NativeLink;
  /** Channels of the engine: clients that it carries or dials for, and channels that the far side has not closed yet. */
  readonly channels: number;
  /** Dials of the engine that wait for their answer. */
  readonly opening: number;
  /** Calls back when `channels` has left 0, and when it is 0 again; returns the unsubscribe. */
  onBusyChange(listener: (busy: boolean) => void): () => void;
  /** The error for a dial of the engine that the far side refused. */
  refusalOf(destination: Destination, failure: Pick<DialFailure, 'reason' | 'text'>): TunnelError;
}

/** A dial of the engine for a client that is JavaScript's now. Nothing was read of the client, and nothing sent to it. */
export interface EarlierDial extends Pick<DialFailure, 'cause' | 'reason' | 'text' | 'tookMs'> {
  readonly carrier: NativeCarrier;
}
