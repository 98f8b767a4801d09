// The main job, as the README describes it: a pod cannot reach the private database; after one PortForward it can, by name, through a real
// bastion.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;

suite('main job', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    await cluster.clientImage();
    network = await startPrivateNetwork();
    for (const { name, address } of Object.values(network.bastions)) await cluster.registerHostDns(name, [address]);
    shop = await Shop.create(cluster, 'main-job');
    await shop.client();
  });
  after(async () => {
    await shop?.delete();
    await network?.stop();
  });

  test('without a tunnel the pod cannot reach the database', async () => {
    await assert.rejects(
      shop.psql(network.postgres.host, 'select 1', { timeoutSeconds: 3 }),
      /No route|timeout|unreachable/,
    );
  });

  test('with a PortForward the pod’s psql prints rows, and get, describe and explain tell the story', async () => {
    await shop.secret('orders-bastion', { 'ssh-privatekey': network.key.privateKey });
    const { a, b } = network.bastions;
    await shop.portForward('orders-db', {
      replicas: 2,
      ports: [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.name }, { host: b.name }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: network.knownHosts,
      },
    });
    await shop.ready('orders-db');
    // Ready means the first pod; the second follows.
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'portforward/orders-db', '--timeout=60s']);
    // The endpoints lag behind the pods.
    const query = 'select customer from orders order by id';
    await eventually(
      'a client is carried',
      async () => (await shop.psql('orders-db', query).catch(String)) === 'Ada\nGrace\nBarbara\n',
    );
    // If the first bastion was slow, the second is used, and after a minute the first.
    const via = `${a.name}:22`;
    await shop.kubectl(['wait', `--for=jsonpath={.status.via}=${via}`, 'portforward/orders-db', '--timeout=180s']);

    const [header = '', row = ''] = (await shop.kubectl(['get', 'pf'])).trim().split('\n');
    assert.deepEqual(header.split(/\s+/), ['NAME', 'READY', 'DRIVER', 'VIA', 'ADDRESS', 'READY-PODS', 'AGE']);
    assert.match(row, /^orders-db\s+True\s+ssh\s+bastion-a\.example\.test:22\s+orders-db\.main-job\.svc\s+2\/2\s/);
    const wide = await shop.kubectl(['get', 'pf', '--output', 'wide']);
    assert.match(wide, /REASON/);
    assert.match(wide, /orders\.db\.internal:5432/);
    // Events are written in parallel with the status.
    await eventually('the Events name Ready', async () =>
      /Events:[\s\S]*Ready/.test(await shop.kubectl(['describe', 'pf', 'orders-db'])),
    );
    assert.match(await shop.kubectl(['explain', 'pf.spec.ssh']), /bastions/);

    const { status } = await shop.get('orders-db');
    assert.equal(status?.address, 'orders-db.main-job.svc');
    assert.equal(status?.tunnels?.length, 2);
    assert.deepEqual(
      status?.ports?.map(({ reachable }) => reachable),
      [true],
    );
  });

  test('when the database is down the condition says so and psql prints the reason; both recover', async () => {
    await network.postgres.kill();
    await shop.reason('orders-db', 'DestinationReachable', 'DestinationRefused', 60);
    await assert.rejects(shop.psql('orders-db', 'select 1'), /FATAL: {2}portforward: .*orders\.db\.internal:5432/);
    const { status } = await shop.get('orders-db');
    assert.equal(status?.conditions?.find(({ type }) => type === 'Connected')?.status, 'True', 'the session stands');
    await network.postgres.start();
    await shop.ready('orders-db', 60);
    assert.equal(await shop.psql('orders-db', 'select 1'), '1\n');
  });

  test('with both bastions down psql prints why, from a pod that is not ready, and the tunnel comes back', async () => {
    const { a, b } = network.bastions;
    await Promise.all([a.kill(), b.kill()]);
    await shop.reason('orders-db', 'Connected', 'BastionRefused', 60);
    // Pods that are not ready become endpoints a moment after the last ready pod is gone.
    let said = '';
    const deadline = performance.now() + 60_000;
    while (!said.includes('FATAL:  portforward') && performance.now() < deadline) {
      said = await shop.psql('orders-db', 'select 1').catch(String);
    }
    assert.match(said, /FATAL: {2}portforward: .*bastion-[ab]\.example\.test:22/);
    await Promise.all([a.start(), b.start()]);
    await shop.ready('orders-db', 60);
    // Ready means the first pod; the other is still an endpoint and tells clients why it cannot serve them.
    await eventually(
      'a client is carried',
      async () => (await shop.psql('orders-db', 'select 1').catch(String)) === '1\n',
    );
  });
});
