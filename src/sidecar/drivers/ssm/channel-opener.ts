// Opens data channels and learns from how they ended: the account's limits, and nodes that cannot take large messages.
// Neighbours: driver.ts has one for all its sessions, start-pace.ts and start-throttle.ts pace the starts, data-channel.ts is what it opens.
import type { EndpointPolicy } from '../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../contract/errors.ts';
import { isNodeItself } from '../../../contract/ssm-documents.ts';
import { destinationText } from '../../../contract/tunnel-config.ts';
import { onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import { outlasting } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import type { Destination } from '../../base/driver.ts';
import type { Trace } from '../../base/trace.ts';
import type { ChannelTicket, SsmApi } from './aws/api.ts';
import type { ProxyEnvironment } from './aws/aws-client.ts';
import type { SsmRoute } from './aws/ssm-route.ts';
import { StartPace } from './aws/start-pace.ts';
import { StartThrottle } from './aws/start-throttle.ts';
import { LifetimeLimits } from './base/lifetime-limits.ts';
import { DataChannel } from './data-channel.ts';
import { MessageSizes } from './message-sizes.ts';

/** AWS answers a start in about a second; the answer to an abandoned start is awaited for this long, because the session must be ended. */
const startGraceMs = 3_000;

export interface ChannelOpenerOptions {
  readonly api: SsmApi;
  readonly policy: EndpointPolicy;
  /** Where the data channel's host is reached instead; empty: at the address that the service names. */
  readonly endpoint: string;
  readonly proxy: ProxyEnvironment;
  /** What the account's session list shows as the reason. */
  readonly reason: string;
  /** True if idle agents are asked whether they live. */
  readonly persistent: boolean;
  /** The document's own limit; 0: learned. */
  readonly maxSessionMinutes: number;
  /** How many sessions the tunnel holds for each destination. */
  readonly sessions: number;
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly random: () => number;
  /** Called with the id of each session that AWS has started for us. */
  readonly onStarted: (sessionId: string) => void;
}

export interface OpenRequest {
  readonly log: Logger;
  readonly onChange: () => void;
  /** AWS has answered. */
  readonly onAnswer: (() => void) | undefined;
  readonly trace?: Trace | undefined;
  /** Whether the pause between two starts for one destination applies. */
  readonly spaced: boolean;
}

export class ChannelOpener {
  readonly #options: ChannelOpenerOptions;
  readonly #throttle: StartThrottle;
  readonly #pace: StartPace;
  readonly #limits: LifetimeLimits;
  readonly #sizes: MessageSizes;
  /** The open channels of each node. */
  readonly #channels = new Map<string, Set<DataChannel>>();

  constructor(options: ChannelOpenerOptions) {
    this.#options = options;
    this.#throttle = new StartThrottle(options.clock, options.random);
    this.#pace = new StartPace(options);
    this.#limits = new LifetimeLimits(options.maxSessionMinutes);
    this.#sizes = new MessageSizes(options.clock);
  }

  /** A data channel to the destination through the node, open and proved. @throws TunnelError, or the signal's reason. */
  async open(
    { target }: SsmRoute,
    destination: Destination,
    request: OpenRequest,
    signal: AbortSignal,
  ): Promise<DataChannel> {
    const channel = await this.#open(target, destination, request, signal);
    if (!this.#sizes.beginTrial(target)) return channel;
    if (await this.#triedLarge(target, channel, signal)) return channel;
    request.log.warn({ target }, 'a message of 16 KiB was not carried: messages to this node stay small');
    await channel.close();
    return await this.#open(target, destination, request, signal);
  }

  /** The largest message that the node is sent now, in bytes. */
  messageBytes(target: string): number {
    return this.#sizes.bytes(target);
  }

  async #open(
    target: string,
    destination: Destination,
    { log, onChange, onAnswer, trace, spaced }: OpenRequest,
    signal: AbortSignal,
  ): Promise<DataChannel> {
    const { persistent } = this.#options;
    await this.#pace.turn(`${target}\0${destinationText(destination)}`, spaced, signal);
    trace?.begin('start session', `node ${target}`);
    const ticket = await this.#start(target, destination, signal);
    trace?.note(`AWS calls it ${ticket.sessionId}`);
    trace?.begin('data channel');
    onAnswer?.();
    const channel = await DataChannel.open(
      {
        ...this.#options,
        log,
        trace,
        onChange,
        ticket,
        remoteHost: isRemoteHost(destination),
        target,
        destination: destinationText(destination),
        largePayloads: () => this.#sizes.large(target),
        watchIdle: persistent,
      },
      signal,
    );
    const siblings = this.#channels.get(target) ?? new Set();
    this.#channels.set(target, siblings);
    for (const sibling of siblings) sibling.nodeAnswered();
    siblings.add(channel);
    onAbort(channel.signal, () => {
      siblings.delete(channel);
      this.#learn(target, channel);
    });
    return channel;
  }

  /** A session of an agent that does not multiplex has one client only: its own bytes are the trial. */
  async #triedLarge(target: string, channel: DataChannel, signal: AbortSignal): Promise<boolean> {
    let taken: boolean | undefined;
    try {
      taken = channel.agent.multiplexes ? await channel.takesLargeMessages(signal) : true;
      return taken;
    } catch (error) {
      await channel.close();
      throw error;
    } finally {
      this.#sizes.endTrial(target, taken);
    }
  }

  /** How long a channel to the node may live, in milliseconds; Infinity if no limit is known. */
  lifeMs(target: string, { agent }: DataChannel): number {
    // An agent that multiplexes is sent NOPs, so its channel is never idle for the service.
    return this.#limits.lifeMs(target, this.#options.persistent && !agent.multiplexes);
  }

  /** The age, in milliseconds, up to which an idle channel is worth keeping to disprove a learned limit; 0: none. */
  disproofAgeMs(target: string): number {
    return this.#limits.disproofAgeMs(target);
  }

  /** Resolves once every session that is being started now has been reported to `onStarted`. */
  async startsSettled(signal: AbortSignal): Promise<void> {
    await this.#throttle.pass(async () => undefined, signal);
  }

  async #start(target: string, destination: Destination, signal: AbortSignal): Promise<ChannelTicket> {
    const { api, reason, clock, onStarted } = this.#options;
    const request = { target, ...destinationFromNode(destination), reason };
    return await this.#throttle.pass(async () => {
      // An abandoned start leaves a session that nobody knows; with its ticket the opening below ends it.
      const ticket = await outlasting(startGraceMs, { signal, clock }, (late) => api.startSession(request, late));
      onStarted(ticket.sessionId);
      return ticket;
    }, signal);
  }

  #learn(target: string, channel: DataChannel): void {
    if (channel.diedOfLargePayloads) this.#sizes.died(target);
    this.#limits.lived(target, channel.ageMs);
    if (channel.expiry !== undefined) this.#limits.expired(target, channel.expiry);
  }
}

/** True if the destination is not the node itself. @throws TunnelError InvalidSpec for a unix socket */
export function isRemoteHost(destination: Destination): boolean {
  return destinationFromNode(destination).host !== undefined;
}

/** The destination as the node sees it: without a host if it is the node itself. */
function destinationFromNode(destination: Destination): { readonly host: string | undefined; readonly port: number } {
  if ('socket' in destination) throw new TunnelError('InvalidSpec', 'Session Manager cannot reach a unix socket');
  const { host, port } = destination;
  return { host: isNodeItself(host) ? undefined : host, port };
}
