// A device from nothing to the first echo: by UDP alone at first, then by web socket where both are allowed.
// Neighbours: driver.ts calls it, way.ts changes the transport, session.ts carries on with the device.
import { TunnelError } from '../../../contract/errors.ts';
import type { FlyConfig } from '../../../contract/tunnel-config.ts';
import { abortable } from '../../../process/abort.ts';
import { type Clock, sleep } from '../../../process/clock.ts';
import { HelperError } from './helper/helper-error.ts';
import type { HelperProcess } from './helper/helper-process.ts';
import type { Peer } from './peer.ts';
import { ResolveError, type Way } from './way.ts';

export interface BringUp {
  readonly helper: Pick<HelperProcess, 'signal' | 'openDevice' | 'closeDevice' | 'echo'>;
  readonly device: string;
  readonly peer: Peer;
  readonly way: Pick<Way, 'begin' | 'changeTransport'>;
  readonly allowed: FlyConfig['transport'];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onAnswer: (() => void) | undefined;
}

/** The inner MTU: with WireGuard around it a packet passes every network that pods have, VXLAN included. */
const mtu = 1280;
/** A tunnel is up when the network's server has echoed; asked this often, each time for so long. */
const echoMs = 1_000;
/** By UDP alone for so many echoes without an answer: 7 s, or more if this process or the helper was held up. WireGuard repeats its initiation after 5 s. */
const firstTransportEchoes = 7;
const upMs = 25_000;

/** Resolves when the network's own server has echoed; on failure the device is closed. @throws TunnelError, or the signal's reason */
export async function bringUp(options: BringUp): Promise<void> {
  const { helper, device, allowed, signal } = options;
  let tried: FlyConfig['transport'] = allowed === 'Auto' ? 'UDP' : allowed;
  const onChange = (): void => {
    tried = allowed;
  };
  try {
    await abortable(untilEcho(options, onChange), { signal });
  } catch (error) {
    await helper.closeDevice(device);
    signal.throwIfAborted();
    throw reasonOf(error, options.peer, tried);
  }
}

async function untilEcho(
  { helper, device, peer, way, clock, signal, onAnswer }: BringUp,
  onChange: () => void,
): Promise<void> {
  const { privateKey, gatewayKey, address } = peer;
  await helper.openDevice({ device, privateKey, gatewayKey, address, mtu });
  await way.begin();
  const begun = clock.now();
  for (let unanswered = 1; ; unanswered += 1) {
    signal.throwIfAborted();
    helper.signal.throwIfAborted();
    try {
      await helper.echo(device, echoMs);
      onAnswer?.();
      return;
    } catch (error) {
      if (!(error instanceof HelperError)) throw error;
      if (error.kind !== 'timeout') await sleep(echoMs, { signal, clock });
    }
    const elapsed = clock.now() - begun;
    if (elapsed >= upMs) throw new HelperError('timeout', 'no echo');
    if (unanswered === firstTransportEchoes) {
      onChange();
      await way.changeTransport();
    }
  }
}

/** `Auto`: both were tried. Where this process was held up, the time may be over before UDP has had its echoes. */
const byWhat: { readonly [T in FlyConfig['transport']]: string } = {
  Auto: 'neither by UDP 51820 nor by TCP 443',
  UDP: 'by UDP 51820',
  WebSocket: 'by TCP 443',
};

function reasonOf(error: unknown, { endpoint }: Peer, tried: FlyConfig['transport']): TunnelError {
  if (error instanceof TunnelError) return error;
  if (error instanceof ResolveError) {
    const sentence = `the name of the gateway, ${endpoint}, cannot be resolved: look at the cluster’s DNS`;
    return new TunnelError('TunnelDown', sentence, { cause: error });
  }
  const no = tried === 'Auto' ? 'answers' : 'does not answer';
  const sentence = `the gateway ${endpoint} ${no} ${byWhat[tried]}: allow the tunnel to reach it`;
  return new TunnelError('TunnelDown', sentence, { cause: error });
}
