// The tunnel pod as a process: it reads the environment, SIGTERM drains it, and nothing on the far side ends it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { isNative } from '../../support/data-path.ts';
import { endOf as endOfPod, type Pod, spawnPod, startPod, whileAccepting } from './pod.ts';
import { type Bastion, endOf, startBastion, tunnelConfig } from './sidecar-world.ts';

let bastion: Bastion;
let echo: Server;
/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  bastion = started.adopt(await startBastion(), async (it) => await it.stop());
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  started.defer(() => void echo.close());
  await once(echo, 'listening');
});

async function openClient(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

async function echoed(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  assert.equal(String((await once(socket, 'data'))[0]), text);
}

async function start(config: TunnelConfig): Promise<Pod> {
  const pod = await startPod(config);
  started.defer(async () => await pod.child.kill());
  return pod;
}

function podConfig(drainTimeoutSeconds: number): TunnelConfig {
  const { port } = echo.address() as AddressInfo;
  return tunnelConfig([bastion.hop], { forwards: [{ name: 'echo', port }], connection: { drainTimeoutSeconds } });
}

test('SIGTERM: not ready at once, still accepting for the lag of endpoints, then waiting for the open connections, exit 0', async () => {
  const { pod, port, open, late } = await whileAccepting(async () => {
    const pod = await start(podConfig(20));
    await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
    const [port = 0] = pod.ports;
    const open = await openClient(port);
    await echoed(open, 'before');
    const use = async () => {
      const late = await openClient(port);
      await echoed(late, 'accepted although draining');
      return { pod, port, open, late };
    };
    return { pod, use };
  });
  await pod.child.until(
    async () =>
      await openClient(port).then(
        (socket) => !socket.destroy(),
        () => true,
      ),
    12_000,
  );
  await echoed(open, 'still carried');
  open.end();
  late.end();
  assert.equal(await pod.ended(), 'exit 0');
});

test('SIGTERM: what is still open when the drain timeout is over gets a reset, exit 0', async () => {
  const pod = await start(podConfig(2));
  await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
  const open = await openClient(pod.ports[0] ?? 0);
  await echoed(open, 'x');
  const end = endOf(open);
  const askedAt = performance.now();
  pod.child.signal('SIGTERM');
  assert.equal(await end, 'ECONNRESET');
  const took = performance.now() - askedAt;
  assert(took > 1_500 && took < 12_000, `${Math.round(took)} ms`);
  assert.equal(await pod.ended(), 'exit 0');
});

// In JavaScript the kernel ends the connections of a killed process cleanly, and nothing can change that (docs/promises.md, promise 1).
if (isNative) {
  test('SIGKILL: the clients that the engine carries are reset, in the middle of an answer and between two', async () => {
    const pod = await start(podConfig(20));
    await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
    const [port = 0] = pod.ports;
    const [quiet, busy] = [await openClient(port), await openClient(port)];
    assert.equal((await pod.json('/statusz'))['dataPath'], 'Native');
    await echoed(quiet, 'x');
    await echoed(busy, 'x');
    const ends = [endOf(quiet), endOf(busy)];
    const block = Buffer.alloc(64 * 1024);
    const more = (): void => {
      while (!busy.destroyed && busy.write(block));
    };
    busy.on('drain', more);
    more();
    await once(busy, 'data');
    pod.child.signal('SIGKILL');
    assert.deepEqual(await Promise.all(ends), ['ECONNRESET', 'ECONNRESET']);
  });

  test('a pod whose process crashed three times in ten minutes starts without the engine, and says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portforward-crashes-'));
    process.env['PF_TEST_CRASH_FILE'] = join(folder, 'crashes');
    try {
      // As process 1 of the image notes them.
      writeFileSync(join(folder, 'crashes'), `${Math.floor(Date.now() / 1000)}\n`.repeat(3));
      const pod = await start(podConfig(1));
      await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
      assert.equal((await pod.json('/statusz'))['dataPath'], 'JavaScript');
      assert.equal(await pod.metric('portforward_tunnel_native_sessions'), 0);
      assert(pod.child.log().some((line) => line.includes('crashed three times in ten minutes')));
      const client = await openClient(pod.ports[0] ?? 0);
      await echoed(client, 'carried all the same');
      client.destroy();
    } finally {
      delete process.env['PF_TEST_CRASH_FILE'];
      rmSync(folder, { recursive: true });
    }
  });
}

test('a permanent error never ends the process: it is alive, not ready, and tells why', async () => {
  bastion.sshd.authorize([]);
  const pod = await start(podConfig(1));
  await pod.child.until(async () => (await pod.readiness()).reason === 'AuthenticationFailed', 30_000);
  assert.deepEqual(await pod.json('/livez'), { live: true });
  const status = await pod.json('/statusz');
  assert.equal(status['state'], 'Failed');
  assert.equal(status['reason'], 'AuthenticationFailed');
  assert((await pod.metric('portforward_tunnel_connect_failures_total{code="AuthenticationFailed"}')) > 0);
  assert.equal(await pod.metric('portforward_tunnel_ready'), 0);
  assert.equal(pod.child.end, undefined);
  pod.child.signal('SIGTERM');
  assert.equal(await pod.ended(), 'exit 0');
});

test('a config that cannot be read ends the process with a sentence', async () => {
  const child = spawnPod('{"version":2}', 0);
  started.defer(async () => await child.kill());
  assert.equal(await endOfPod(child), 'exit 1');
  const line = child.log().find((one) => one.includes('ConfigUnreadable'));
  assert(line?.includes('driver'), child.log().join('\n'));
});
