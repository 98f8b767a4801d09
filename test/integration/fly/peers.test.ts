// Peers at fly.io: one for each pod, kept over a restart of its container, none left behind. And how the first connection is made and shown.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { createFlyDriver } from '../../../src/sidecar/drivers/fly/driver.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { until, untilConnected } from '../sidecar/sidecar-world.ts';
import { flyHelper } from './fly-helper.ts';
import { flyPlace, token } from './fly-sidecar.ts';

function memory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'pf-memory-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

suite('peers', () => {
  test('two pods are two peers, and after a graceful end none is left, although the API fails at first', async (t) => {
    const { world, open, said } = await flyPlace(t);
    const both = await Promise.all([open({ podUid: 'pod-1' }), open({ podUid: 'pod-2' })]);
    for (const sidecar of both) await untilConnected(sidecar);
    const names = world.api.peers.map(({ name }) => name).toSorted();
    assert.equal(names.length, 2);
    assert.match(names.join(), /^portforward-test-orders-db-pod-1-\w+,portforward-test-orders-db-pod-2-\w+$/);
    assert.notEqual(world.api.peers[0]?.pubkey, world.api.peers[1]?.pubkey);
    const lists = (): number => world.api.operations.filter((operation) => operation === 'PortForwardPeers').length;
    await until(both[0], () => lists() === 2);
    world.api.fail({ status: 500 }, 2);
    await Promise.all(both.map(async (sidecar) => await sidecar.stop({ drainMs: 0 })));
    assert.deepEqual(world.api.peers, []);
    assertEvery(said, (line) => !line.includes(token) && !line.includes('privateKey'), 'no secret is logged');
  });

  test('a restarted container keeps its peer; one that lost it removes the old one, and no other pod’s', async (t) => {
    const { world, open } = await flyPlace(t);
    const directory = memory(t);
    // The token may not remove peers, so that the end leaves what a killed container leaves.
    world.api.limitedTokens.add(token);
    const other = await open({ podUid: 'pod-10' });
    await untilConnected(other);
    const first = await open({ fly: { directory } });
    await untilConnected(first);
    await first.stop({ drainMs: 0 });
    const ofPod = (): string[] =>
      world.api.peers.filter(({ name }) => name.includes('-pod-1-')).map(({ name }) => name);
    const [kept] = ofPod();
    const second = await open({ fly: { directory } });
    await untilConnected(second);
    assert.deepEqual(ofPod(), [kept]);
    await second.stop({ drainMs: 0 });
    world.api.limitedTokens.clear();
    rmSync(join(directory, 'peer.json'));
    const third = await open({ fly: { directory } });
    await untilConnected(third);
    await until(third, () => ofPod().length === 1 && ofPod()[0] !== kept);
    assert.equal(world.api.peers.length, 2);
    assert.equal(other.status().state, 'Connected');
  });

  test('a Secret with the token of another organization does not keep the peer at fly.io', async (t) => {
    const { world, secret, open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    const asked = (): number => world.api.operations.filter((operation) => operation === 'PortForwardApp').length;
    const before = asked();
    world.api.foreignTokens.add('fo1_foreign');
    secret.write({ FLY_API_TOKEN: 'fo1_foreign' });
    await until(sidecar, () => asked() > before);
    assert.equal(world.api.peers.length, 1);
    await sidecar.stop({ drainMs: 0 });
    assert.deepEqual(world.api.peers, []);
  });

  test('an attempt that is cancelled in its last moment leaves neither a session nor a peer', async (t) => {
    const { world, secret } = await flyPlace(t);
    const credentials = { secretName: 'fly', directory: secret.directory };
    const driver = createFlyDriver(
      { app: 'orders-db', network: '', region: '', transport: 'Auto', directory: memory(t), credentials },
      {
        namespace: 'test',
        name: 'orders-db',
        podUid: 'pod-1',
        log: silentLog(),
        budget: new ByteBudget(),
        helperProgram: await flyHelper(),
        apiUrl: world.api.url,
        environment: {},
        gateways: { udp: world.gateway.udpPort, webSocket: world.gateway.wsPort },
      },
    );
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => await (closed ??= driver.close());
    t.after(close);
    const [route] = await driver.routes({ signal: t.signal });
    assert.ok(route !== undefined);
    const cancel = new AbortController();
    // The gateway has answered, and the peer is being written to its file.
    const onAnswer = (): void => void setImmediate(() => cancel.abort(new Error('nobody waits any more')));
    await assert.rejects(driver.connect(route, { signal: cancel.signal, log: silentLog(), onAnswer }), /nobody waits/);
    const session = await driver.connect(route, { signal: t.signal, log: silentLog() });
    assert.equal(world.api.peers.length, 1, 'the session that nobody took does not keep the peer');
    await session.close();
    await close();
    assert.deepEqual(world.api.peers, []);
  });

  test('a pod that ends during a walk of doctor leaves no peer of the walk', async (t) => {
    const { world, open } = await flyPlace(t);
    const doctorSocket = join(memory(t), 'doctor.sock');
    const sidecar = await open({ doctorSocket });
    await untilConnected(sidecar);
    const asking = connect(doctorSocket);
    t.after(() => asking.destroy());
    asking.write('text\n');
    await until(sidecar, () => world.api.peers.some(({ name }) => name.includes('-walk-')));
    await sidecar.stop({ drainMs: 0 });
    assert.deepEqual(world.api.peers, []);
  });

  test('the network of an organization, the region and the transport of the document are used', async (t) => {
    const { world, open } = await flyPlace(t);
    const sidecar = await open({
      fly: { org: 'shop-inc', network: 'stage', region: 'arn', transport: 'WebSocket' },
    });
    await untilConnected(sidecar);
    assert.deepEqual(
      world.api.peers.map(({ network, region }) => ({ network, region })),
      [{ network: 'stage', region: 'arn' }],
    );
    const { via, transport } = sidecar.status();
    assert.deepEqual({ via, transport }, { via: '127.0.0.1 (arn)', transport: 'WebSocket' });
  });

  test('without a region it is the nearest', async (t) => {
    const { open } = await flyPlace(t);
    const sidecar = await open();
    await untilConnected(sidecar);
    assert.equal(sidecar.status().via, '127.0.0.1 (fra)');
  });
});

suite('the first connection', () => {
  test('is made with a gateway that drops the first handshake and begins its own', async (t) => {
    const { world, open } = await flyPlace(t);
    await world.gateway.set({ justInTime: true });
    const sidecar = await open();
    await untilConnected(sidecar);
    assert.equal(sidecar.status().transport, 'UDP');
  });

  test('is made with a gateway under load, which answers the first handshake by a cookie', async (t) => {
    const { world, open } = await flyPlace(t);
    await world.gateway.set({ asksCookies: true });
    // Only UDP: nothing but the cookie helps.
    const sidecar = await open({ fly: { transport: 'UDP' } });
    await untilConnected(sidecar);
    assert.equal(world.api.peers.length, 1);
  });

  test('is made by web socket where UDP is blocked, and the status says so', async (t) => {
    const { world, open } = await flyPlace(t);
    await world.gateway.set({ dropUdp: true });
    const sidecar = await open();
    await untilConnected(sidecar, 60_000);
    assert.equal(sidecar.status().transport, 'WebSocket');
  });
});

test('the last handshake is shown at /statusz, and its age as a metric', async (t) => {
  const { open } = await flyPlace(t);
  const begun = Date.now();
  const sidecar = await open();
  await until(sidecar, () => sidecar.status().handshakeAt !== undefined);
  const admin = `http://127.0.0.1:${sidecar.adminPort}`;
  const { handshakeAt = '' } = (await (await fetch(`${admin}/statusz`)).json()) as { readonly handshakeAt?: string };
  // WireGuard's and our own clock are rounded differently.
  assert.ok(Date.parse(handshakeAt) > begun - 1_000, handshakeAt);
  const series = /^portforward_tunnel_handshake_age_seconds\{transport="UDP"\} (\S+)$/m;
  const age = Number(series.exec(await (await fetch(`${admin}/metrics`)).text())?.[1]);
  assert.ok(age >= 0 && age <= (Date.now() - begun) / 1000 + 1, `${age} s`);
});
