// `doctor` through fly.io names the step that is at fault: one world for each step of the way.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Code } from '../../../src/contract/errors.ts';
import { closedPort } from '../../driver-suite/destinations.ts';
import { onlyFault, outline } from '../sidecar/walk.ts';
import { type FlyPlace, flyPlace, type OpenOptions } from './fly-sidecar.ts';

test('a way that works is walked from the token to the destination, and its peer is removed', async (t) => {
  const place = await flyPlace(t);
  const steps = await place.walk();
  assert.deepEqual(
    steps.map(({ step, ok }) => (ok ? step : `${step} failed`)),
    ['token', 'app', 'peer', 'helper', 'handshake', 'name', 'dial', 'protocol tcp'],
    outline(steps),
  );
  const seen = (step: string): string => steps.find((one) => one.step === step)?.facts.join('\n') ?? '';
  assert.match(seen('app'), /^organization “/);
  assert.match(seen('handshake'), /^the network’s name server echoes, by (UDP|WebSocket)$/);
  assert.match(seen('name'), /^“fdaa:[0-9a-f:]+”$/);
  assert.deepEqual(place.world.api.peers, []);
});

interface World {
  readonly step: string;
  readonly code: Code;
  readonly breaks?: (place: FlyPlace) => unknown;
  readonly options?: OpenOptions;
}

const worlds: Readonly<Record<string, World>> = {
  'no token': { step: 'token', code: 'TokenMissing', breaks: ({ secret }) => secret.remove('FLY_API_TOKEN') },
  'a wrong token': {
    step: 'app',
    code: 'TokenRefused',
    breaks: ({ secret }) => secret.write({ FLY_API_TOKEN: 'fo1_wrong' }),
  },
  'no such app': { step: 'app', code: 'AppNotFound', options: { fly: { app: 'other' } } },
  'no such organization': { step: 'organization', code: 'OrganizationNotFound', options: { fly: { org: 'other' } } },
  'no such region': { step: 'peer', code: 'GatewayNotFound', options: { fly: { region: 'xyz' } } },
  'an API that is down': {
    step: 'app',
    code: 'FlyApiFailed',
    breaks: ({ world }) => world.api.fail({ status: 500 }),
  },
  'a build without the helper': { step: 'helper', code: 'HelperMissing', options: { helperProgram: '/none' } },
  'a gateway that cannot be reached': {
    step: 'handshake',
    code: 'TunnelDown',
    breaks: async ({ world }) => await world.gateway.set({ silent: true }),
  },
  'no running Machine': {
    step: 'name',
    code: 'NoRunningMachines',
    breaks: async ({ world }) => await world.gateway.setNames({}),
  },
};

suite('a bad world at fly.io', () => {
  for (const [title, { step, code, breaks, options }] of Object.entries(worlds)) {
    test(`${title}: the fault is ${code} at ${step}`, async (t) => {
      const place = await flyPlace(t);
      await breaks?.(place);
      const steps = await place.walk(options);
      const fault = steps.find(({ ok }) => !ok);
      assert.equal(`${fault?.step}: ${fault?.reason}`, `${step}: ${code}`, outline(steps));
      assert.doesNotMatch(JSON.stringify(steps), /fo1_/);
    });
  }

  test('a destination that refuses: the fault is at the dial', async (t) => {
    const { port, stop } = await closedPort();
    t.after(stop);
    const place = await flyPlace(t);
    onlyFault(await place.walk({ port }), 'dial', 'DestinationRefused');
  });
});
