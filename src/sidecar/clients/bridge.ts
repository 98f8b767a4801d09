// Joins a client's socket and a stream to a destination: bytes both ways, unchanged and in order, until both sides have ended.
//
// - Half-close is kept: the end of one side ends the other's write side only.
// - Every break that our side can know reaches the client as RST, never as a clean end: half a result must not look like a whole one.
// - A client that breaks off takes the stream with it.
// - What waits for a slow side is bounded per connection, and counted against the pod's byte budget.
//
// Written with 'data' events and not `pipeline`: that would end the client with FIN when the far side breaks (measured), and it costs
// more per chunk. Neighbours: listener.ts calls it, dialer.ts gave the stream, kernel-table.ts tells what a slow client has not taken.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../contract/errors.ts';
import type { ByteBudget } from '../base/byte-budget.ts';
import { kernelRow } from '../base/kernel-table.ts';
import { reset } from '../base/reset.ts';
import { Unanswered } from './replay-buffer.ts';

/** Bytes carried so far by all connections of one forward, for metrics. */
export interface Traffic {
  toDestination: number;
  toClient: number;
}

export interface BridgeOptions {
  /** The pod's memory for waiting bytes. */
  readonly budget: ByteBudget;
  /** Added to as bytes come. */
  readonly traffic: Traffic;
  /** Called with the destination's first byte. */
  readonly onAnswer?: () => void;
}

/** How the two were parted. `failure` is undefined if both sides ended cleanly. */
export interface BridgeResult {
  readonly bytesToDestination: number;
  readonly bytesToClient: number;
  /** Who broke off, if anyone did. */
  readonly brokenBy?: 'client' | 'destination' | 'session';
  readonly failure?: unknown;
  /**
   * The destination refused before its first byte (a driver whose dial resolves early tells it so late): the client is still there, has
   * got nothing, and what it sent is to be read from it again.
   */
  readonly refusal?: TunnelError;
}

/**
 * The far side has closed both directions although the client still sends: its bytes are dropped for this long, and as long again while
 * it has not taken the last answer. An earlier RST would make what our kernel still holds of that vanish.
 */
const lingerMs = 30_000;

/**
 * Carries bytes until both sides have ended or one broke off. `session` aborts before the stream of a lost session ends.
 * The client must be paused, so that what it sent early is still to come. Never rejects; both ends are closed when it resolves,
 * but for the client of a refusal.
 */
export async function bridge(
  client: Socket,
  remote: Duplex,
  session: AbortSignal,
  { budget, traffic, onAnswer }: BridgeOptions,
): Promise<BridgeResult> {
  const unanswered = new Unanswered(budget);
  const refused = Promise.withResolvers<TunnelError>();
  let refusal: TunnelError | undefined;
  let brokenBy: BridgeResult['brokenBy'];
  let failure: unknown;
  let linger: NodeJS.Timeout | undefined;
  const toClient = new OneWay(remote, client, budget, {
    onChunk: () => {
      if (toClient.bytes > 0) return;
      unanswered.forget();
      onAnswer?.();
    },
    onCarried: (bytes) => (traffic.toClient += bytes),
  });
  const toDestination = new OneWay(client, remote, budget, {
    onChunk: (chunk) => unanswered.keep(chunk),
    onCarried: (bytes) => (traffic.toDestination += bytes),
  });

  const breakOff = (by: NonNullable<BridgeResult['brokenBy']>, cause: unknown): void => {
    if (brokenBy !== undefined) return;
    brokenBy = by;
    failure = cause;
    if (cause instanceof TunnelError && cause.layer === 'destination' && unanswered.isWhole && client.readable) {
      refusal = cause;
      toClient.stop();
      toDestination.stop();
      client.pause();
      unanswered.returnTo(client);
      refused.resolve(cause);
    } else {
      reset(client);
    }
    if (!remote.destroyed) remote.destroy();
  };

  const clientClosed = new Promise<void>((resolve) => {
    client.on('error', (error) => breakOff('client', error));
    client.once('close', () => {
      if (!remote.destroyed && !(client.readableEnded && client.writableFinished)) breakOff('client', undefined);
      resolve();
    });
  });
  const remoteClosed = new Promise<void>((resolve) => {
    const lingerOn = (): void => {
      linger = setTimeout(() => void endLinger(), lingerMs);
    };
    const endLinger = async (): Promise<void> => {
      const isSlow = await hasToTake(client);
      if (isSlow && !client.destroyed) lingerOn();
      else reset(client);
    };
    const discard = (): void => {
      toDestination.discard();
      lingerOn();
    };
    remote.on('error', (error) => breakOff('destination', error));
    remote.once('close', () => {
      if (!remote.readableEnded) {
        breakOff('destination', new TunnelError('BastionLost', 'the stream was closed without an end'));
      } else if (!client.readableEnded && !client.destroyed) {
        discard();
      }
      resolve();
    });
  });
  const onSessionLost = (): void => {
    // Its end came before, and the whole answer is on its way: only the client's drain is still awaited, which needs no session.
    if (remote.destroyed && remote.readableEnded && remote.errored === null) return;
    breakOff('session', session.reason);
  };

  if (session.aborted) onSessionLost();
  else session.addEventListener('abort', onSessionLost, { once: true });
  // The client may have gone, and the stream may have broken, before anyone listened.
  if (client.destroyed || remote.destroyed) breakOff(client.destroyed ? 'client' : 'destination', remote.errored);
  if (refusal === undefined) {
    toClient.start();
    toDestination.start();
  }

  const waits: Promise<unknown>[] = [];
  if (!client.closed) waits.push(Promise.race([clientClosed, refused.promise]));
  if (!remote.closed) waits.push(remoteClosed);
  await Promise.all(waits);
  clearTimeout(linger);
  session.removeEventListener('abort', onSessionLost);
  toClient.stop();
  toDestination.stop();
  unanswered.forget();
  return {
    bytesToDestination: toDestination.bytes,
    bytesToClient: toClient.bytes,
    ...(brokenBy === undefined ? {} : { brokenBy, failure }),
    ...(refusal === undefined ? {} : { refusal }),
  };
}

/** Whether something for the client, its end included, still waits here or in our kernel. Of that only Linux tells. */
async function hasToTake(client: Socket): Promise<boolean> {
  if (!client.writableFinished) return true;
  const row = await kernelRow(client);
  return row !== undefined && row.unacknowledged > 0;
}

interface OneWayObserver {
  /** Before the chunk is passed on, or dropped because nobody takes it. */
  onChunk(chunk: Buffer): void;
  onCarried(bytes: number): void;
}

/** One direction: passes chunks on as they come and stops reading while the other side is slow. */
class OneWay {
  bytes = 0;
  readonly #from: Duplex;
  readonly #to: Duplex;
  readonly #budget: ByteBudget;
  readonly #observer: OneWayObserver;
  /** What waits at `to` and was counted against the budget. */
  #counted = 0;
  #corked = false;
  #stopped = false;

  constructor(from: Duplex, to: Duplex, budget: ByteBudget, observer: OneWayObserver) {
    this.#observer = observer;
    this.#from = from;
    this.#to = to;
    this.#budget = budget;
  }

  start(): void {
    this.#from.on('data', this.#onData);
    this.#from.once('end', this.#onEnd);
    this.#to.on('drain', this.#onDrain);
    this.#from.resume();
  }

  stop(): void {
    this.#stopped = true;
    this.#from.off('data', this.#onData);
    this.#from.off('end', this.#onEnd);
    this.#to.off('drain', this.#onDrain);
    this.#count(0);
  }

  /** The destination takes no more: what still comes is read and dropped. */
  discard(): void {
    this.stop();
    this.#from.on('data', () => undefined);
    this.#from.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    const to = this.#to;
    this.#observer.onChunk(chunk);
    if (to.destroyed || to.writableEnded) {
      // Its own 'close' ends the bridge; until then nothing more is read for it.
      this.#from.pause();
      return;
    }
    this.bytes += chunk.length;
    this.#observer.onCarried(chunk.length);
    if (!this.#corked) {
      // Chunks of one turn leave in one system call.
      this.#corked = true;
      to.cork();
      process.nextTick(this.#uncork);
    }
    if (this.#budget.spare > 0) {
      // Enough for one call, or a source that never lets the turn end.
      if (!to.write(chunk)) this.#uncork();
    } else {
      // The pod's memory is scarce: nothing more is read before this chunk has left.
      this.#from.pause();
      to.write(chunk, this.#onDrain);
    }
  };

  readonly #uncork = (): void => {
    if (!this.#corked) return;
    this.#corked = false;
    this.#to.uncork();
    if (this.#to.writableLength === 0) return;
    if (this.#to.writableNeedDrain) this.#from.pause();
    if (this.#from.isPaused()) this.#count(this.#to.writableLength);
  };

  readonly #onDrain = (): void => {
    this.#count(0);
    if (!this.#stopped) this.#from.resume();
  };

  readonly #onEnd = (): void => {
    if (!this.#to.destroyed) this.#to.end();
  };

  #count(waiting: number): void {
    this.#budget.take(waiting - this.#counted);
    this.#counted = waiting;
  }
}
