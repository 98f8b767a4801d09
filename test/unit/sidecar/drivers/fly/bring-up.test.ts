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

interface Attempt {
  readonly clock: FakeClock;
  readonly done: Promise<void>;
  /** When the web socket was tried, if it was. */
  readonly changedAt: () => number | undefined;
}

/** Brings a device up whose first echoes take these milliseconds each, then 1 s each. They get an answer by web socket, or never. */
function attempt(stalls: readonly number[], { isAnswered }: { readonly isAnswered: boolean }): Attempt {
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
        if (!isAnswered || changedAt === undefined) throw new HelperError('timeout', 'no echo');
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
  return { clock, done, changedAt: () => changedAt };
}

async function changedAfter(stalls: readonly number[]): Promise<number> {
  const { clock, done, changedAt } = attempt(stalls, { isAnswered: true });
  await clock.advance(25_000);
  await done;
  const at = changedAt();
  assert.ok(at !== undefined);
  return at;
}

test('UDP has seven seconds', async () => {
  assert.equal(await changedAfter([]), 7_000);
});

test('a stall of our own does not count against UDP', async () => {
  assert.equal(await changedAfter([6_000, 3_000]), 14_000);
});

/** Why no device comes up. */
async function reasonAfter(stalls: readonly number[]): Promise<string> {
  const { clock, done } = attempt(stalls, { isAnswered: false });
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
