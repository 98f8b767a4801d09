// A device of the helper at the test gateway without a driver above it: for tests that say themselves when WireGuard shakes hands, or that
// need the helper's TCP alone. Neighbours: outage.test.ts and test/faults/fly-bulk.test.ts use it, fly-helper.ts builds the program.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { tmpdir } from 'node:os';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../../src/process/clock.ts';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { HelperProcess } from '../../../src/sidecar/drivers/fly/helper/helper-process.ts';
import type { HelperStream } from '../../../src/sidecar/drivers/fly/helper/stream.ts';
import type { GatewayPlace, Impairment } from '../../support/fly/fly-gateway.ts';
import { firstMachine, flyWorld } from '../../support/fly/fly-world.ts';
import { flyHelper } from './fly-helper.ts';

/** How long new keys may take. WireGuard begins a handshake only 5 s after the one before. */
const renewMs = 60_000;
const pollMs = 100;
/** WireGuard begins no two handshakes within 5 s; one that both sides began counts once. */
const sameHandshakeMs = 4_000;
const freeMs = 5_500;
const settleMs = 2_000;
const device = 'bare';

/** Handshake initiations of each side. */
export interface Initiations {
  readonly ours: number;
  readonly gateways: number;
}

export interface BareDevice {
  /** For so long every packet is lost, either way. */
  readonly outage: (ms: number) => Promise<void>;
  readonly dial: (port: number) => Promise<HelperStream>;
  /** New keys, for which one side asked, perhaps beside the other. */
  readonly renew: (side: 'ours' | 'gateway') => Promise<Initiations>;
  /**
   * Both sides ask before either hears of the other, unless the machine is so busy that one only answers. Each drops what it began for what the
   * other began: whether there are new keys soon is left to WireGuard's own timers.
   */
  readonly askByBoth: () => Promise<Initiations>;
}

const base64 = (key: KeyObject, part: 'd' | 'x'): string =>
  Buffer.from(key.export({ format: 'jwk' })[part] ?? '', 'base64url').toString('base64');

/** Its only connection to the gateway goes over a relay with that impairment. */
export async function bareDevice(
  t: TestContext,
  impairment: Impairment,
  place: Partial<GatewayPlace> = {},
): Promise<BareDevice> {
  const [world, program] = await Promise.all([flyWorld(place), flyHelper()]);
  const { gateway } = world;
  t.after(async () => await world[Symbol.asyncDispose]());
  const budget = new ByteBudget();
  const options = { program, directory: tmpdir(), environment: {}, budget, clock: systemClock, log: silentLog() };
  const helper = await HelperProcess.start(options, { signal: t.signal });
  t.after(async () => await helper.close());
  const { privateKey } = generateKeyPairSync('x25519');
  const publicKey = base64(privateKey, 'x');
  const address = firstMachine.replace(/::100$/, ':a7b:35c:0:ff:102');
  await gateway.addPeer(publicKey, address);
  await helper.openDevice({
    device,
    privateKey: base64(privateKey, 'd'),
    gatewayKey: gateway.publicKey,
    address,
    mtu: 1280,
  });
  const udp = await gateway.relay('127.0.0.1', impairment);
  await helper.setTransport(device, 'udp', `127.0.0.1:${udp}`);

  const ask = { ours: () => helper.handshake(device), gateway: () => gateway.handshake(publicKey) };
  const handshakeAt = async (): Promise<number> => (await helper.stats(device)).handshakeAtMs;
  const initiations = async (): Promise<Initiations> => {
    const { received, sent } = await gateway.initiations();
    return { ours: received, gateways: sent };
  };
  const since = async (before: Initiations): Promise<Initiations> => {
    const { ours, gateways } = await initiations();
    return { ours: ours - before.ours, gateways: gateways - before.gateways };
  };
  /** `again` is called until there are new keys. */
  const renewed = async (first: number, again: () => Promise<unknown>): Promise<void> => {
    const end = performance.now() + renewMs;
    while ((await handshakeAt()) - first < sameHandshakeMs) {
      if (performance.now() > end) throw new Error('there are no new keys');
      await again();
      await delay(pollMs);
    }
  };
  while ((await handshakeAt()) === 0) await delay(pollMs, undefined, { signal: t.signal });
  return {
    outage: async (ms) => {
      await gateway.set({ silent: true });
      await delay(ms);
      await gateway.set({ silent: false });
    },
    dial: async (port) =>
      await helper.dial(device, { address: firstMachine, port, timeoutMs: 10_000 }, { signal: t.signal }),
    renew: async (side) => {
      const before = await initiations();
      const asked = side === 'ours' ? 'ours' : 'gateways';
      // The other side may be quicker: WireGuard sends an initiation again after 5 s if its answer came while it was still being sent.
      do await renewed(await handshakeAt(), ask[side]);
      while ((await since(before))[asked] === 0);
      return await since(before);
    },
    askByBoth: async () => {
      const before = await initiations();
      await delay(freeMs);
      await Promise.all([ask.ours(), ask.gateway()]);
      await delay(settleMs);
      return await since(before);
    },
  };
}
