// What the native engine carries over one session, as the tunnel sees it; and why the engine lost the session, in our sentences.
// Neighbours: session.ts owns it, ../base/ssh2-link.ts gives the socket to the engine, dial-error.ts turns refusals into errors.
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { TunnelError } from '../../../../contract/errors.ts';
import type { Destination } from '../../../../contract/tunnel-config.ts';
import type { NativeCarrier } from '../../../base/carrier.ts';
import { type DialFailure, type LinkLoss, linkCells, type NativeLink } from '../../../base/native-engine.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import type { TakeLink } from '../base/take-link.ts';
import type { Transport } from './session-watch.ts';

export interface SessionCarrierOptions {
  readonly via: string;
  readonly login: Pick<LoggedIn, 'client'>;
  readonly transport: Transport;
  /** Default: the engine gets nothing. */
  readonly takeLink?: TakeLink | undefined;
  readonly maxChannels: number;
  readonly onLost: (how: string, cause: unknown) => void;
  readonly refusalOf: (destination: Destination, reason: number, text: string) => TunnelError;
}

export class SessionCarrier implements NativeCarrier {
  readonly via: string;
  readonly link: NativeLink;
  readonly #cells: Float64Array;
  readonly #refusalOf: SessionCarrierOptions['refusalOf'];
  readonly #listeners: Set<(busy: boolean) => void>;

  private constructor(
    { via, refusalOf }: SessionCarrierOptions,
    { link, cells }: NonNullable<ReturnType<TakeLink>>,
    listeners: Set<(busy: boolean) => void>,
  ) {
    this.via = via;
    this.link = link;
    this.#cells = cells;
    this.#refusalOf = refusalOf;
    this.#listeners = listeners;
    cells[linkCells.roundTripMs] = Number.NaN;
  }

  /** Undefined if the engine cannot carry over this session: one behind a jump host has no socket. */
  static take(options: SessionCarrierOptions): SessionCarrier | undefined {
    const { login, transport, takeLink, maxChannels, onLost } = options;
    if (takeLink === undefined || !(transport instanceof Socket)) return undefined;
    const listeners = new Set<(busy: boolean) => void>();
    const taken = takeLink(login.client, transport, {
      maxChannels,
      onLost: (loss) => onLost(sentenceOf(loss), causeOf(loss)),
      onBusyChange: (busy) => {
        for (const listener of listeners) listener(busy);
      },
    });
    return taken === undefined ? undefined : new SessionCarrier(options, taken, listeners);
  }

  get channels(): number {
    return this.#cells[linkCells.channels] ?? 0;
  }

  get opening(): number {
    return this.#cells[linkCells.opening] ?? 0;
  }

  onBusyChange(listener: (busy: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refusalOf(destination: Destination, { reason, text }: Pick<DialFailure, 'reason' | 'text'>): TunnelError {
    return this.#refusalOf(destination, reason, text);
  }

  /** How many channels JavaScript has on the session. */
  setOwnChannels(count: number): void {
    this.#cells[linkCells.ownChannels] = count;
  }

  /** The least time of late that the far side's ssh layer took to answer, in milliseconds. */
  setRoundTrip(ms: number | undefined): void {
    this.#cells[linkCells.roundTripMs] = ms ?? Number.NaN;
  }
}

/** What the far side did, as it follows its name. */
function sentenceOf({ cause }: LinkLoss): string {
  switch (cause) {
    case 'closed':
      return 'closed the connection';
    case 'broken':
      return 'broke the connection';
    case 'window':
      return 'sent more than its window allows';
    case 'flood':
      return 'floods the session with data of no stream';
    case 'noPacket':
      return 'allows no packet at all';
    case 'unread':
      return 'floods the session, or does not read the answers to what it asks: see what answers there, and its load';
    case 'packet':
    case 'keys':
      return 'ended the session';
  }
}

/** As ssh2 and Node say it: own-fault.ts knows from that whose fault it is. */
function causeOf({ cause, errno }: LinkLoss): unknown {
  if (cause === 'broken') {
    const code = getSystemErrorName(-errno);
    return Object.assign(new Error(`the connection broke (${code})`), { code });
  }
  if (cause === 'packet') return Object.assign(new Error('a packet or a message is malformed'), { level: 'protocol' });
  return cause === 'keys' ? new Error('the engine has no keys for the packets after a key exchange') : undefined;
}
