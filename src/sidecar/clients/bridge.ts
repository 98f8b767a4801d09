// Joins a client's socket and a stream to a destination: carries bytes both ways, unchanged and in order, until both sides have ended.
//
// - Half-close is kept: the end of one side ends the other's write side only.
// - Every break that we can know of reaches the client as RST, never as a clean end: half a result must not look like a whole one.
// - A client that breaks off takes the stream with it.
// - The bytes that wait for a slow side are bounded per connection and counted against the pod's byte budget.
//
// Uses 'data' events instead of `pipeline`, which ends the client with FIN when the far side breaks (measured) and costs more per chunk.
// Neighbours: listener.ts calls it, dialer.ts opens the stream, one-way.ts carries one direction, kernel-table.ts knows what a slow client
// has not taken.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../contract/errors.ts';
import { onAbort } from '../../process/abort.ts';
import type { ByteBudget } from '../base/byte-budget.ts';
import { kernelRow } from '../base/kernel-table.ts';
import { reset } from '../base/reset.ts';
import { OneWay } from './one-way.ts';
import { ReplayBuffer } from './replay-buffer.ts';

/** Bytes carried so far by all connections of one forward, for metrics. */
export interface Traffic {
  toDestination: number;
  toClient: number;
}

export interface BridgeOptions {
  /** The pod's memory for waiting bytes. */
  readonly budget: ByteBudget;
  /** Incremented as bytes arrive. */
  readonly traffic: Traffic;
  /** Called with the destination's first byte. */
  readonly onAnswer?: (() => void) | undefined;
}

/** How the connection ended. `failure` is undefined if both sides ended cleanly. */
export interface BridgeResult {
  readonly bytesToDestination: number;
  readonly bytesToClient: number;
  /** The side that broke off, if any. */
  readonly brokenBy?: 'client' | 'destination' | 'session';
  readonly failure?: unknown;
  /**
   * The destination refused before its first byte (known only now if the driver's dial resolves early): the client is still open, has
   * received nothing, and everything that it sent can be read from it again.
   */
  readonly refusal?: TunnelError;
}

/**
 * The far side has closed both directions although the client still sends: the client's bytes are dropped for this long, and for as long
 * again while it has not taken the last answer. An earlier RST would make the rest of that answer, still in our kernel, vanish.
 */
const lingerMs = 30_000;

/**
 * Carries bytes until both sides have ended or one broke off. `sessionSignal` aborts before the stream of a lost session ends.
 * The client must be paused, so that nothing of what it sent early is lost. Never rejects. When it resolves, both ends are closed;
 * only after a refusal the client is still open.
 */
export async function bridge(
  client: Socket,
  stream: Duplex,
  sessionSignal: AbortSignal,
  options: BridgeOptions,
): Promise<BridgeResult> {
  return await new Bridge(client, stream, sessionSignal, options).carry();
}

type Break = Required<Pick<BridgeResult, 'brokenBy' | 'failure'>> & Pick<BridgeResult, 'refusal'>;

class Bridge {
  readonly #client: Socket;
  readonly #stream: Duplex;
  readonly #sessionSignal: AbortSignal;
  readonly #sentEarly: ReplayBuffer;
  readonly #toClient: OneWay;
  readonly #toDestination: OneWay;
  /** Resolved when the client is closed, or belongs to the caller again after a refusal. */
  readonly #clientDone = Promise.withResolvers<void>();
  readonly #streamDone = Promise.withResolvers<void>();
  #broken: Break | undefined;
  #lingering: NodeJS.Timeout | undefined;

  constructor(
    client: Socket,
    stream: Duplex,
    sessionSignal: AbortSignal,
    { budget, traffic, onAnswer }: BridgeOptions,
  ) {
    this.#client = client;
    this.#stream = stream;
    this.#sessionSignal = sessionSignal;
    this.#sentEarly = new ReplayBuffer(budget);
    this.#toClient = new OneWay(stream, client, budget, {
      onChunk: () => {
        if (this.#toClient.bytes > 0) return;
        this.#sentEarly.forget();
        onAnswer?.();
      },
      onCarried: (bytes) => (traffic.toClient += bytes),
    });
    this.#toDestination = new OneWay(client, stream, budget, {
      onChunk: (chunk) => this.#sentEarly.keep(chunk),
      onCarried: (bytes) => (traffic.toDestination += bytes),
    });
  }

  async carry(): Promise<BridgeResult> {
    const client = this.#client;
    const stream = this.#stream;
    client.on('error', (error) => this.#break('client', error));
    client.once('close', () => this.#onClientClosed());
    stream.on('error', (error) => this.#break('destination', error));
    stream.once('close', () => this.#onStreamClosed());
    using _ = onAbort(this.#sessionSignal, (reason) => this.#onSessionLost(reason));
    // The client may have left, and the stream may have broken, before these listeners were there.
    if (client.destroyed || stream.destroyed) this.#break(client.destroyed ? 'client' : 'destination', stream.errored);
    if (this.#broken?.refusal === undefined) {
      this.#toClient.start();
      this.#toDestination.start();
    }

    if (!client.closed) await this.#clientDone.promise;
    if (!stream.closed) await this.#streamDone.promise;
    clearTimeout(this.#lingering);
    this.#toClient.stop();
    this.#toDestination.stop();
    this.#sentEarly.forget();
    return { bytesToDestination: this.#toDestination.bytes, bytesToClient: this.#toClient.bytes, ...this.#broken };
  }

  #onClientClosed(): void {
    const client = this.#client;
    const isClean = client.readableEnded && client.writableFinished;
    if (!this.#stream.destroyed && !isClean) this.#break('client', undefined);
    this.#clientDone.resolve();
  }

  #onStreamClosed(): void {
    const client = this.#client;
    if (!this.#stream.readableEnded) {
      this.#break('destination', new TunnelError('BastionLost', 'the stream was closed without an end'));
    } else if (!client.readableEnded && !client.destroyed) {
      this.#toDestination.discard();
      this.#linger();
    }
    this.#streamDone.resolve();
  }

  #onSessionLost(reason: unknown): void {
    const { destroyed, readableEnded, errored } = this.#stream;
    // The stream ended before, and the whole answer is on its way: the client only has to take it, which needs no session.
    if (destroyed && readableEnded && errored === null) return;
    this.#break('session', reason);
  }

  #break(brokenBy: Break['brokenBy'], failure: unknown): void {
    if (this.#broken !== undefined) return;
    const mayReplay = this.#sentEarly.isComplete && this.#client.readable;
    if (failure instanceof TunnelError && failure.layer === 'destination' && mayReplay) {
      this.#broken = { brokenBy, failure, refusal: failure };
      this.#refuse();
    } else {
      this.#broken = { brokenBy, failure };
      reset(this.#client);
    }
    if (!this.#stream.destroyed) this.#stream.destroy();
  }

  /** Leaves the client as if nothing had been read from it. */
  #refuse(): void {
    this.#toClient.stop();
    this.#toDestination.stop();
    this.#client.pause();
    this.#sentEarly.returnTo(this.#client);
    this.#clientDone.resolve();
  }

  #linger(): void {
    this.#lingering = setTimeout(() => void this.#endLinger(), lingerMs);
  }

  async #endLinger(): Promise<void> {
    const isSlow = await hasToTake(this.#client);
    if (isSlow && !this.#client.destroyed) this.#linger();
    else reset(this.#client);
  }
}

/** True if data or FIN for the client is still unsent or unacknowledged (the latter is known on Linux only). */
async function hasToTake(client: Socket): Promise<boolean> {
  if (!client.writableFinished) return true;
  const row = await kernelRow(client);
  return row !== undefined && row.unacknowledged > 0;
}
