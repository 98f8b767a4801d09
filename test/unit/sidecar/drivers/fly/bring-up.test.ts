// When a new device gives up UDP: after seven echoes that got no answer, however long a stalled process took to ask them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { sleep } from '../../../../../src/process/clock.ts';
import { bringUp } from '../../../../../src/sidecar/drivers/fly/bring-up.ts';
import { HelperError } from '../../../../../src/sidecar/drivers/fly/helper/helper-error.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const peer = {
  name: 'peer',
  organizationId: 'id-1',
  organization: 'shop-inc',
  network: '',
  privateKey: '',
  address: 'fdaa:0:18:a7b:35c:0:1:102',
  endpoint: 'gateway.test',
  gatewayKey: '',
  region: '',
  gatewayRegion: '',
};

/** Brings a device up whose echoes take these milliseconds each, then 1 s each, and get no answer but by web socket. Gives when that was tried. */
async function changedAfter(stalls: readonly number[]): Promise<number> {
  const clock = new FakeClock();
  const left = [...stalls];
  let changedAt: number | undefined;
  const done = bringUp({
    helper: {
      signal: new AbortController().signal,
      openDevice: async () => undefined,
      closeDevice: async () => undefined,
      echo: async (_device, timeoutMs) => {
        await sleep(left.shift() ?? timeoutMs, { clock });
        if (changedAt === undefined) throw new HelperError('timeout', 'no echo');
        return 1;
      },
    },
    device: 'device-1',
    peer,
    way: {
      begin: async () => undefined,
      changeTransport: async () => {
        changedAt = clock.now();
      },
    },
    allowed: 'Auto',
    clock,
    signal: new AbortController().signal,
    onAnswer: undefined,
  });
  await clock.advance(25_000);
  await done;
  assert.ok(changedAt !== undefined);
  return changedAt;
}

test('UDP has seven seconds', async () => {
  assert.equal(await changedAfter([]), 7_000);
});

test('a stall of our own does not count against UDP', async () => {
  assert.equal(await changedAfter([6_000, 3_000]), 14_000);
});

/** Why no device comes up whose first echoes take these milliseconds each, then 1 s each, and never get an answer. */
async function reasonAfter(stalls: readonly number[]): Promise<string> {
  const clock = new FakeClock();
  const left = [...stalls];
  const done = bringUp({
    helper: {
      signal: new AbortController().signal,
      openDevice: async () => undefined,
      closeDevice: async () => undefined,
      echo: async (_device, timeoutMs) => {
        await sleep(left.shift() ?? timeoutMs, { clock });
        throw new HelperError('timeout', 'no echo');
      },
    },
    device: 'device-1',
    peer,
    way: { begin: async () => undefined, changeTransport: async () => undefined },
    allowed: 'Auto',
    clock,
    signal: new AbortController().signal,
    onAnswer: undefined,
  });
  const reason = done.then(
    () => 'it came up',
    (error: unknown) => (error instanceof TunnelError ? error.message : String(error)),
  );
  await clock.advance(60_000);
  return await reason;
}

test('the reason names what was tried: UDP alone where the time was over before', async () => {
  const allow = 'allow the tunnel to reach it';
  assert.equal(await reasonAfter([]), `the gateway gateway.test answers neither by UDP 51820 nor by TCP 443: ${allow}`);
  assert.equal(
    await reasonAfter([6_000, 6_000, 6_000, 6_000, 6_000]),
    `the gateway gateway.test does not answer by UDP 51820: ${allow}`,
  );
});
