// How one device reaches its gateway: which address, and UDP or web socket. Changes when the gateway's name leads elsewhere and when one of the
// two does not get through.
// Neighbours: session.ts asks for changes, helper/helper-process.ts makes them.
import { lookup } from 'node:dns/promises';
import { hostPort } from '../../../contract/ip-address.ts';
import { abortable } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { DeviceStats, HelperProcess } from './helper/helper-process.ts';

/** The gateway's name has no address, or nobody answers for it. */
export class ResolveError extends Error {
  override readonly name = 'ResolveError';
}

type Transport = DeviceStats['transport'];

export interface WayOptions {
  readonly helper: Pick<HelperProcess, 'setTransport'>;
  readonly device: string;
  /** The gateway's host name. */
  readonly endpoint: string;
  readonly allowed: 'Auto' | 'UDP' | 'WebSocket';
  readonly gateways?: Gateways | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Gateways {
  readonly udp: number;
  readonly webSocket: number;
  readonly resolve?: (host: string) => Promise<string>;
}

/** fly.io's gateways listen here. */
const flyGateways: Gateways = { udp: 51_820, webSocket: 443 };
const resolveMs = 3_000;
/** A tunnel by web socket goes back to UDP after this long, while it carries nothing: the change may lose a few seconds. */
const udpAgainMs = 15 * 60_000;

export class Way {
  readonly #options: WayOptions;
  #transport: Transport;
  #address: string | undefined;
  #changedAt: number;
  /** One change after the other. */
  #changing: Promise<void> = Promise.resolve();

  constructor(options: WayOptions) {
    this.#options = options;
    this.#transport = options.allowed === 'WebSocket' ? 'websocket' : 'udp';
    this.#changedAt = options.clock.now();
  }

  get transport(): Transport {
    return this.#transport;
  }

  /** Sets out by the first transport that is allowed. @throws HelperError, ResolveError */
  async begin(): Promise<void> {
    await this.#use(this.#transport, await this.#resolved());
  }

  /** Follows the gateway's name if it leads elsewhere now. Never throws. */
  async resolveAgain(): Promise<void> {
    await this.#change(async () => {
      const address = await this.#resolved();
      if (address !== this.#address) await this.#use(this.#transport, address);
    });
  }

  /** From UDP to web socket and back, where both are allowed. Never throws. */
  async changeTransport(): Promise<void> {
    if (this.#options.allowed !== 'Auto') return;
    await this.#change(async () => {
      await this.#use(this.#transport === 'udp' ? 'websocket' : 'udp', await this.#resolved());
    });
  }

  /** Told once a second how many streams there are: an idle tunnel by web socket tries UDP again from time to time. */
  noteStreams(streams: number): void {
    const { clock, allowed } = this.#options;
    if (allowed !== 'Auto' || this.#transport === 'udp' || streams > 0) return;
    if (clock.now() - this.#changedAt >= udpAgainMs) void this.changeTransport();
  }

  async #change(work: () => Promise<void>): Promise<void> {
    this.#changing = this.#changing.then(work).catch((error: unknown) => {
      this.#options.log.debug({ err: error }, 'the way to the gateway could not be changed');
    });
    await this.#changing;
  }

  async #resolved(): Promise<string> {
    const { endpoint, clock, gateways } = this.#options;
    const { resolve = resolveName } = gateways ?? flyGateways;
    using limit = deadline(resolveMs, { clock, what: `resolving ${endpoint}` });
    try {
      return await abortable(resolve(endpoint), { signal: limit.signal });
    } catch (cause) {
      throw new ResolveError(`${endpoint} cannot be resolved`, { cause });
    }
  }

  async #use(transport: Transport, address: string): Promise<void> {
    const { helper, device, endpoint, gateways = flyGateways, clock, log } = this.#options;
    const to =
      transport === 'udp' ? hostPort(address, gateways.udp) : `wss://${hostPort(endpoint, gateways.webSocket)}/`;
    await helper.setTransport(device, transport, to);
    if (transport !== this.#transport) log.info({ transport }, 'the tunnel changed its transport');
    this.#transport = transport;
    this.#address = address;
    this.#changedAt = clock.now();
  }
}

/** IPv4 before IPv6: a pod has the first more often. */
async function resolveName(host: string): Promise<string> {
  const found = await lookup(host, { all: true, order: 'ipv4first' });
  const first = found[0];
  if (first === undefined) throw new Error(`${host} has no address`);
  return first.address;
}
