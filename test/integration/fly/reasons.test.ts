// The reason of every bad world at fly.io, and that the tunnel comes back by itself once the world is right.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import type { Code } from '../../../src/contract/errors.ts';
import { assertSome } from '../../support/assert-every.ts';
import { client, until, untilConnected } from '../sidecar/sidecar-world.ts';
import { echoed } from './echoed.ts';
import { type FlyPlace, flyPlace, type OpenOptions, token } from './fly-sidecar.ts';

interface BadWorld {
  readonly what: string;
  readonly code: Code;
  readonly breaks: (place: FlyPlace) => unknown;
  readonly options?: OpenOptions;
  /** Absent: nothing short of another document or build helps. */
  readonly repairs?: (place: FlyPlace) => unknown;
}

const badWorlds: readonly BadWorld[] = [
  {
    what: 'no token',
    code: 'TokenMissing',
    breaks: ({ secret }) => secret.remove('FLY_API_TOKEN'),
    repairs: ({ secret }) => secret.write({ FLY_API_TOKEN: token }),
  },
  {
    what: 'a wrong token',
    code: 'TokenRefused',
    breaks: ({ secret }) => secret.write({ FLY_API_TOKEN: 'fo1_wrong' }),
    repairs: ({ secret }) => secret.write({ FLY_API_TOKEN: token }),
  },
  { what: 'no such app', code: 'AppNotFound', breaks: () => undefined, options: { fly: { app: 'other' } } },
  {
    what: 'no such organization',
    code: 'OrganizationNotFound',
    breaks: () => undefined,
    options: { fly: { org: 'other' } },
  },
  { what: 'no such region', code: 'GatewayNotFound', breaks: () => undefined, options: { fly: { region: 'xyz' } } },
  {
    what: 'an API that is down',
    code: 'FlyApiFailed',
    breaks: ({ world }) => world.api.fail({ status: 500 }),
    repairs: ({ world }) => world.api.heal(),
  },
  {
    what: 'a build without the helper',
    code: 'HelperMissing',
    breaks: () => undefined,
    options: { helperProgram: '/none' },
  },
  {
    what: 'a gateway that cannot be reached',
    code: 'TunnelDown',
    breaks: async ({ world }) => await world.gateway.set({ silent: true }),
    repairs: async ({ world }) => await world.gateway.set({ silent: false }),
  },
];

suite('the reason', () => {
  for (const { what, code, breaks, repairs, options } of badWorlds) {
    test(`${what}: ${code}`, async (t) => {
      const place = await flyPlace(t);
      await breaks(place);
      const sidecar = await place.open(options);
      await until(sidecar, () => sidecar.status().reason === code, 60_000);
      assert.doesNotMatch(sidecar.status().message ?? '', /fo1_/);
      await repairs?.(place);
      if (repairs !== undefined) await untilConnected(sidecar, 90_000);
    });
  }

  test('no Machine runs: NoRunningMachines, until one is started', async (t) => {
    const { world, open } = await flyPlace(t);
    await world.gateway.setNames({});
    const sidecar = await open();
    await untilConnected(sidecar);
    const reason = (): string | undefined => sidecar.status().ports[0]?.reason;
    await until(sidecar, () => reason() === 'NoRunningMachines');
    await world.gateway.setNames({ 'orders-db.internal': ['fdaa:0:18::100'] });
    await until(sidecar, () => reason() === undefined);
  });

  test('a token that has expired leaves a connected tunnel alone, and is told when its gateway falls silent', async (t) => {
    const { world, open, said } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    world.api.tokens.clear();
    const socket = await client(sidecar);
    socket.write('x');
    await once(socket, 'data');
    assert.equal(sidecar.status().state, 'Connected');
    socket.destroy();
    await world.gateway.set({ silent: true });
    await until(sidecar, () => sidecar.status().reason === 'TokenExpired');
    assertSome(said, (line) => line.includes('"step":"repair"'), 'the silence was noticed');
  });
});

test('a new token is tried by a peer of its own: refused it ends nothing, accepted it takes the new connections', async (t) => {
  const { world, open, secret } = await flyPlace(t);
  const sidecar = await open();
  await untilConnected(sidecar);
  const socket = await client(sidecar);
  await echoed(socket);
  const [first] = world.api.peers;
  assert.deepEqual(sidecar.status().credentials, { current: true });

  secret.write({ FLY_API_TOKEN: 'fo1_wrong' });
  await until(sidecar, () => sidecar.status().credentials?.current === false);
  assert.equal(sidecar.status().credentials?.reason, 'TokenRefused');
  assert.equal(sidecar.status().state, 'Connected');
  await echoed(socket);

  // The same gateway by another name, as fly.io may give the next peer.
  world.api.endpoint = 'localhost';
  secret.write({ FLY_API_TOKEN: token });
  await until(sidecar, () => sidecar.status().via === 'localhost (fra)');
  await until(sidecar, () => sidecar.status().credentials?.current === true);
  await until(
    sidecar,
    () =>
      sidecar
        .status()
        .routes?.map(({ via }) => via)
        .join() === 'localhost (fra)',
  );
  assert.equal(world.api.peers.length, 2);
  await echoed(socket);
  await echoed(await client(sidecar));
  socket.destroy();
  await until(sidecar, () => world.api.peers.length === 1);
  assert.notEqual(world.api.peers[0]?.name, first?.name);
  assert.equal(world.api.operations.filter((operation) => operation === 'PortForwardAddPeer').length, 2);
});

suite('a name', () => {
  const carried = async (place: FlyPlace, options: OpenOptions): Promise<void> => {
    const sidecar = await place.open(options);
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    socket.write('x');
    assert.equal(String((await once(socket, 'data'))[0]), 'x');
    socket.destroy();
  };

  test('may be an IPv6 address', async (t) => await carried(await flyPlace(t), { host: 'fdaa:0:18::100' }));

  test('of Flycast has another address, and its port is the service’s', async (t) => {
    const place = await flyPlace(t);
    await place.world.gateway.addMachine('fdaa:0:18::110', 80, `127.0.0.1:${place.service.port}`);
    await place.world.gateway.setNames({ 'orders-db.flycast': ['fdaa:0:18::110'] });
    await carried(place, { host: 'orders-db.flycast', port: 80 });
  });

  test('is asked for at each connection, so that Machines may come and go', async (t) => {
    const place = await flyPlace(t);
    const { gateway } = place.world;
    const first = 'fdaa:0:18::110';
    const second = 'fdaa:0:18::111';
    await gateway.addMachine(first, 80, `127.0.0.1:${place.service.port}`);
    await gateway.setNames({ 'orders-db.internal': [first] });
    await carried(place, { port: 80 });
    await gateway.addMachine(second, 80, `127.0.0.1:${place.service.port}`);
    await gateway.setNames({ 'orders-db.internal': [second] });
    await gateway.removeMachine(first, 80);
    await gateway.askedNames();
    await carried(place, { port: 80 });
    const asked = await gateway.askedNames();
    assertSome(asked, (name) => name === 'orders-db.internal', 'the name was asked for again');
  });

  test('with more addresses than a datagram takes is asked for over TCP', async (t) => {
    const place = await flyPlace(t);
    const dead = Array.from({ length: 60 }, (_, index) => `fdaa:0:18::1${index + 40}`);
    // Refused at once: the first of them are tried before the good one.
    await place.world.gateway.setNames({ 'orders-db.internal': ['fdaa:0:18::100', ...dead] });
    await carried(place, {});
  });

  test('whose answer leads around in circles: DestinationNameNotResolved, and the tunnel lives on', async (t) => {
    const place = await flyPlace(t);
    await place.world.gateway.set({ hostileNames: true });
    const sidecar = await place.open();
    await untilConnected(sidecar);
    const reason = (): string | undefined => sidecar.status().ports[0]?.reason;
    await until(sidecar, () => reason() === 'DestinationNameNotResolved');
    assert.equal(sidecar.status().state, 'Connected');
    await place.world.gateway.set({ hostileNames: false });
    await until(sidecar, () => reason() === undefined);
  });

  test('with a dead address, one that refuses and a good one leads to the good one', async (t) => {
    const place = await flyPlace(t);
    await place.world.gateway.setNames({
      'orders-db.internal': ['fdaa:0:18::dead', 'fdaa:0:18::102', 'fdaa:0:18::100'],
    });
    await carried(place, {});
  });

  test('whose port is closed: the client is reset, and the reason is DestinationRefused', async (t) => {
    const place = await flyPlace(t);
    await place.world.gateway.setNames({ 'orders-db.internal': ['fdaa:0:18::102'] });
    const sidecar = await place.open();
    await untilConnected(sidecar);
    await until(sidecar, () => sidecar.status().ports[0]?.reason === 'DestinationRefused');
    const socket = await client(sidecar);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
  });
});
