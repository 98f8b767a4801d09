// The tunnel pod as a process: environment in, SIGTERM drains, nothing of the far side ends it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { configVariable, podUidVariable } from '../../../src/contract/pod.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { Child } from '../../cluster/child.ts';
import { freePort } from '../../cluster/ports.ts';
import { type Bastion, endOf, startBastion, tunnelConfig } from './sidecar-world.ts';

let bastion: Bastion;
let echo: Server;
const pods = new Set<Child>();

before(async () => {
  bastion = await startBastion();
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
});

after(async () => {
  for (const pod of pods) await pod.kill();
  await bastion.stop();
  echo.close();
});

/** The sidecar as the pod's process, but with an admin port of its own, because tests run side by side. */
async function startPod(config: TunnelConfig): Promise<{ pod: Child; admin: string }> {
  const adminPort = await freePort('127.0.0.1');
  const script = fileURLToPath(new URL('pod-process.ts', import.meta.url));
  const env = {
    [configVariable]: JSON.stringify(config),
    [podUidVariable]: 'uid-1',
    PF_TEST_ADMIN_PORT: `${adminPort}`,
  };
  const pod = new Child('sidecar', process.execPath, [script], { env });
  pods.add(pod);
  await pod.until(() => pod.log().some((line) => line.includes('"listening"')), 20_000);
  return { pod, admin: `http://127.0.0.1:${adminPort}` };
}

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

async function readiness(admin: string): Promise<{ status: number; reason?: string }> {
  const response = await fetch(`${admin}/readyz`);
  const body = (await response.json()) as { reason?: string };
  return { status: response.status, ...(body.reason === undefined ? {} : { reason: body.reason }) };
}

async function podConfig(drainTimeoutSeconds: number): Promise<{ config: TunnelConfig; port: number }> {
  const listenPort = await freePort('127.0.0.1');
  const { port } = echo.address() as AddressInfo;
  const config = tunnelConfig([bastion.hop], {
    forwards: [{ name: 'echo', port, listenPort }],
    connection: { drainTimeoutSeconds },
  });
  return { config, port: listenPort };
}

test('SIGTERM: not ready at once, still accepting for the lag of endpoints, then waiting for the open connections, exit 0', async () => {
  const { config, port } = await podConfig(20);
  const { pod, admin } = await startPod(config);
  await pod.until(async () => (await readiness(admin)).status === 200, 10_000);
  const open = await openClient(port);
  await echoed(open, 'before');
  pod.signal('SIGTERM');
  await pod.until(async () => (await readiness(admin)).reason === 'Draining', 2_000);
  const late = await openClient(port);
  await echoed(late, 'accepted although draining');
  await pod.until(
    async () =>
      await openClient(port).then(
        (socket) => !socket.destroy(),
        () => true,
      ),
    6_000,
  );
  await echoed(open, 'still carried');
  open.end();
  late.end();
  await pod.until(() => pod.end !== undefined, 5_000).catch(() => undefined);
  assert.equal(pod.end, 'exit 0', pod.log().join('\n'));
});

test('SIGTERM: what is still open when the drain timeout is over gets a reset, exit 0', async () => {
  const { config, port } = await podConfig(2);
  const { pod, admin } = await startPod(config);
  await pod.until(async () => (await readiness(admin)).status === 200, 10_000);
  const open = await openClient(port);
  await echoed(open, 'x');
  const end = endOf(open);
  const askedAt = performance.now();
  pod.signal('SIGTERM');
  assert.equal(await end, 'ECONNRESET');
  const took = performance.now() - askedAt;
  assert(took > 1_500 && took < 6_000, `${Math.round(took)} ms`);
  await pod.until(() => pod.end !== undefined, 5_000).catch(() => undefined);
  assert.equal(pod.end, 'exit 0', pod.log().join('\n'));
});

test('a permanent error never ends the process: it is alive, not ready, and tells why', async () => {
  const { config } = await podConfig(1);
  bastion.sshd.authorize([]);
  const { pod, admin } = await startPod(config);
  await pod.until(async () => (await readiness(admin)).reason === 'AuthenticationFailed', 10_000);
  assert.equal((await fetch(`${admin}/livez`)).status, 200);
  const status = (await (await fetch(`${admin}/statusz`)).json()) as { state: string; reason: string; message: string };
  assert.equal(status.state, 'Failed');
  assert.equal(status.reason, 'AuthenticationFailed');
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  assert.match(metrics, /portforward_tunnel_connect_failures_total\{code="AuthenticationFailed"\} [1-9]/);
  assert.match(metrics, /portforward_tunnel_ready 0/);
  assert.equal(pod.end, undefined);
  pod.signal('SIGTERM');
  await pod.until(() => pod.end !== undefined, 5_000).catch(() => undefined);
  assert.equal(pod.end, 'exit 0');
});

test('a config that cannot be read ends the process with a sentence', async () => {
  const script = fileURLToPath(new URL('pod-process.ts', import.meta.url));
  const pod = new Child('sidecar', process.execPath, [script], { env: { [configVariable]: '{"version":2}' } });
  await pod.until(() => pod.end !== undefined, 10_000).catch(() => undefined);
  assert.equal(pod.end, 'exit 1');
  assert(
    pod.log().some((line) => line.includes('ConfigUnreadable') && line.includes('driver')),
    pod.log().join('\n'),
  );
});
