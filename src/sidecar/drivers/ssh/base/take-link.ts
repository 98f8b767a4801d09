// How a session gives its socket to the native engine. Neighbours: ssh2-link.ts does it, ../channels/session-carrier.ts asks for it.
import type { Socket } from 'node:net';
import type { Client } from 'ssh2';
import type { LinkLoss, NativeLink } from '../../../base/native-engine.ts';

export interface LinkHandlers {
  /** How many channels the session may have, those of JavaScript included. */
  readonly maxChannels: number;
  readonly onLost: (loss: LinkLoss) => void;
  readonly onBusyChange: (busy: boolean) => void;
}

/** Gives the socket of a session to the engine. Undefined if its cipher or its keys do not fit: then everything stays with ssh2. */
export type TakeLink = (
  client: Client,
  socket: Socket,
  handlers: LinkHandlers,
) => { readonly link: NativeLink; readonly cells: Float64Array } | undefined;
