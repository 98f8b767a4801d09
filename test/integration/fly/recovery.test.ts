// What a tunnel to fly.io survives, and what it comes back from by itself: figures are printed, the limits are three times the promised ones.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import type { Sidecar } from '../../../src/sidecar/sidecar.ts';
import { assertSome } from '../../support/assert-every.ts';
import { client, endOf, until, untilConnected } from '../sidecar/sidecar-world.ts';
import { echoed } from './echoed.ts';
import { signalHelpers } from './fly-helper.ts';
import { flyPlace } from './fly-sidecar.ts';

/** Writes as fast as the connection takes it, until it ends. */
function flood(socket: Socket): void {
  const block = randomBytes(64 * 1024);
  const more = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on('drain', more);
  more();
}

/** Milliseconds until a new connection carries bytes. */
async function untilCarried(sidecar: Sidecar, t: TestContext, limitMs: number): Promise<number> {
  const begun = performance.now();
  let carried = false;
  await until(
    sidecar,
    async () => {
      const socket = await client(sidecar);
      carried = await Promise.race([
        echoed(socket).then(
          () => true,
          () => false,
        ),
        new Promise<boolean>((resolve) => setTimeout(resolve, 20_000, false).unref()),
      ]);
      socket.destroy();
      return carried;
    },
    limitMs,
  );
  const took = performance.now() - begun;
  t.diagnostic(`carried again after ${Math.round(took)} ms`);
  assert.ok(took < limitMs, `${took} ms`);
  return took;
}

suite('open connections live on', () => {
  test('while the gateway is restarted', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    await world.gateway.restart();
    const begun = performance.now();
    await echoed(socket);
    t.diagnostic(`the open connection carried again after ${Math.round(performance.now() - begun)} ms`);
    socket.destroy();
  });

  test('while UDP is blocked, by web socket', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    assert.equal(sidecar.status().transport, 'UDP');
    const socket = await client(sidecar);
    await echoed(socket);
    await world.gateway.set({ dropUdp: true });
    const begun = performance.now();
    await echoed(socket);
    t.diagnostic(`the open connection carried again after ${Math.round(performance.now() - begun)} ms`);
    await until(sidecar, () => sidecar.status().transport === 'WebSocket');
    socket.destroy();
  });

  test('while the gateway moves to another address', async (t) => {
    const { world, open } = await flyPlace(t);
    const udp = await world.gateway.relay('127.0.0.2');
    let address = '127.0.0.2';
    const sidecar = await open({ gateways: { udp, resolve: async () => address } });
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    await world.gateway.relay('127.0.0.3', {}, udp);
    address = '127.0.0.3';
    await world.gateway.closeRelay('127.0.0.2', udp);
    const begun = performance.now();
    await echoed(socket);
    t.diagnostic(`the open connection carried again after ${Math.round(performance.now() - begun)} ms`);
    await until(sidecar, () => sidecar.status().transport === 'UDP');
    socket.destroy();
  });

  test('while every web socket is cut', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open({ fly: { transport: 'WebSocket' } });
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    await world.gateway.cutWebSockets();
    const begun = performance.now();
    await echoed(socket);
    t.diagnostic(`the open connection carried again after ${Math.round(performance.now() - begun)} ms`);
    assert.equal(world.api.peers.length, 1);
    socket.destroy();
  });

  test('while fly.io’s API is down', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    world.api.fail({ status: 503 });
    await echoed(socket);
    await echoed(await client(sidecar));
    assert.equal(sidecar.status().state, 'Connected');
    socket.destroy();
    world.api.heal();
  });
});

suite('open connections are reset, and new ones carried', () => {
  test('when the helper is killed in mid-transfer: within 2 s', async (t) => {
    const { open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    const end = endOf(socket);
    flood(socket);
    // Some of it has made the whole way and back.
    await until(sidecar, () => socket.bytesRead > 1024 * 1024);
    signalHelpers('SIGKILL');
    assert.equal(await end, 'ECONNRESET');
    await untilCarried(sidecar, t, 6_000);
  });

  test('when the helper hangs: noticed within 4 s', async (t) => {
    const { open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    const begun = performance.now();
    const end = endOf(socket);
    signalHelpers('SIGSTOP');
    assert.equal(await end, 'ECONNRESET');
    const noticed = performance.now() - begun;
    t.diagnostic(`noticed after ${Math.round(noticed)} ms`);
    assert.ok(noticed < 12_000, `${noticed} ms`);
    await untilCarried(sidecar, t, 6_000);
  });

  test('when the peer was removed at fly.io: within 20 s', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    const end = endOf(socket);
    const [peer] = world.api.peers;
    assert.ok(peer);
    await world.api.invalidate(peer);
    await untilCarried(sidecar, t, 60_000);
    assert.equal(await end, 'ECONNRESET');
    assert.equal(world.api.peers.length, 1);
  });

  test('when the gateway has another key: within 20 s', async (t) => {
    const { world, open, said } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    await echoed(socket);
    const end = endOf(socket);
    await world.gateway.rotateKey();
    await untilCarried(sidecar, t, 60_000);
    assert.equal(await end, 'ECONNRESET');
    // Reset because others are carried again, not after the 30 s at which a silent session ends.
    assertSome(said, (line) => line.includes('a new WireGuard peer replaced'), 'the silent session gave way');
    await until(sidecar, () => world.api.peers.length === 1, 60_000);
  });
});
