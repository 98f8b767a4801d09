// The main job through fly.io: a database and a web page in an organization's private network are reached by their Services, and by
// `portforward open`, although nothing else leads to them; the status names app, region and gateway; nothing is left at fly.io.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { stringify } from 'yaml';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { customers, Folder, localPort, portforward } from '../integration/cli/laptop.ts';
import { flyHelper } from '../integration/fly/fly-helper.ts';
import { FlyOrganization, gatewayName, page } from './fly-organization.ts';
import { assertNoLeaks } from './leaks.ts';

const token = 'fo1_c1u2s3t4e5r6c1u2s3t4e5r6c1u2s3t4e5r6';
const rows = 'select customer from orders order by id';
const via = `${gatewayName} (fra)`;

let cluster: Cluster;
let organization: FlyOrganization;
let shop: Shop;

suite('main job through fly.io', () => {
  before(async () => {
    cluster = await ensureCluster();
    await cluster.clientImage();
    organization = await FlyOrganization.start(cluster);
    organization.api.tokens.add(token);
    await ensureOperator(cluster, { values: organization.chartValues });
    shop = await Shop.create(cluster, 'fly');
    await organization.trustedIn(shop);
    await shop.client();
  });
  after(async () => {
    await shop?.delete();
    await organization?.stop();
  });

  const database = {
    replicas: 2,
    ports: [{ port: 5432, appProtocol: 'postgresql' }],
    fly: { app: 'orders-db', secretRef: { name: 'fly' } },
  };
  const web = {
    replicas: 1,
    ports: [{ port: 80, destinationPort: 8080, appProtocol: 'http' }],
    fly: { app: 'web', region: 'fra', secretRef: { name: 'fly' } },
  };

  test('psql prints rows of the database, curl the page of the web server', async (t) => {
    await shop.secret('fly', { FLY_API_TOKEN: token });
    const begun = performance.now();
    await shop.portForward('orders-db', database);
    await shop.portForward('web', web);
    for (const name of ['orders-db', 'web']) {
      await shop.ready(name);
      t.diagnostic(`${name} is Ready ${((performance.now() - begun) / 1000).toFixed(1)} s after it was applied`);
    }
    // The endpoints lag behind the pods: until then the Service still leads to pods that only tell why they cannot serve.
    await eventually('psql is carried', async () => (await shop.psql('orders-db', 'select 1').catch(String)) === '1\n');
    assert.equal(await shop.psql('orders-db', rows), 'Ada\nGrace\nBarbara\n');
    const curl = ['curl', '--silent', '--show-error', '--max-time', '10', 'http://web'];
    await eventually('curl is carried', async () => (await shop.exec(curl).catch(String)) === page);
  });

  test('the status shows app, region, gateway and transport; each replica is a peer of its own', async () => {
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'pf/orders-db', '--timeout=60s']);
    const { status } = await shop.get('orders-db');
    assert.equal(status?.via, via);
    for (const tunnel of status?.tunnels ?? []) {
      assert.deepEqual({ via: tunnel.via, transport: tunnel.transport }, { via, transport: 'UDP' });
    }
    const connected = await shop.condition('orders-db', 'Connected');
    assert.equal(connected?.message, '2 of 2 pods are ready in the network of fly.io app orders-db.');
    const pods = await shop.tunnelPods('orders-db');
    const peers = organization.api.peers.filter(({ name }) => name.startsWith('portforward-fly-orders-db-'));
    assert.equal(peers.length, 2);
    assert.equal(new Set(peers.map(({ pubkey }) => pubkey)).size, 2);
    for (const { metadata } of pods) assert.ok(peers.some(({ name }) => name.includes(metadata.uid)));
    const [, ...lines] = (await shop.kubectl(['get', 'pf'])).trim().split('\n');
    for (const line of lines) assert.match(line, /\s+True\s+fly\s+fra1\.gateway\.example\.test \(fra\)\s/);
  });

  test('the API’s address is an argument, and the token is in its file only', async () => {
    const [pod] = await shop.tunnelPods('web');
    assert.ok(pod !== undefined);
    const args = ['get', 'pod', pod.metadata.name, '--output', 'jsonpath={.spec.containers[0].args}'];
    const url = organization.chartValues['tunnels.flyApiUrl'];
    assert.deepEqual(JSON.parse(await shop.kubectl(args)), ['sidecar', `--fly-api-url=${url}`]);
    const files = `require('fs').readdirSync('/etc/portforward/secrets/fly').filter((name) => !name.startsWith('..'))`;
    const print = ['exec', pod.metadata.name, '--', 'node', '-e', `process.stdout.write(${files}.join())`];
    assert.equal(await shop.kubectl(print), 'FLY_API_TOKEN');
    await assertNoLeaks({ cluster, shop, tunnels: ['orders-db', 'web'] }, new Map([['the token', token]]));
  });

  test('portforward open carries the same document on this machine, and leaves no peer', async () => {
    using folder = new Folder();
    organization.api.endpoint = organization.address;
    const before = organization.api.peers.length;
    const document = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward', spec: database };
    const file = folder.write(
      'orders.yaml',
      stringify({ ...document, metadata: { name: 'laptop', namespace: 'shop' } }),
    );
    folder.write('secrets/fly/FLY_API_TOKEN', token);
    const opened = portforward(['open', '-f', file, '--secrets-dir', `${folder.path}/secrets`, '--port', '0:5432'], {
      ...organization.environment,
      PORTFORWARD_FLY_HELPER: await flyHelper(),
    });
    try {
      await opened.line(/connected/);
      assert.equal(await customers(organization.postgres, await localPort(opened, 'p5432')), 'Ada\nGrace\nBarbara\n');
      assert.equal(organization.api.peers.length, before + 1);
    } finally {
      await opened.stop();
      organization.api.endpoint = gatewayName;
    }
    assert.equal(organization.api.peers.length, before);
  });

  test('deleting leaves nothing in the cluster and no peer at fly.io', async (t) => {
    const begun = performance.now();
    await shop.kubectl(['delete', 'portforward', 'orders-db', 'web', '--timeout=60s']);
    await eventually('no peer is left', () => organization.api.peers.length === 0, 60_000);
    t.diagnostic(`every peer is removed ${((performance.now() - begun) / 1000).toFixed(1)} s after the deletion`);
    const kinds = 'deployments,replicasets,pods,services,networkpolicies,serviceaccounts,poddisruptionbudgets';
    const left = ['get', kinds, '--selector', 'portforward.dev/name', '--output', 'name'];
    await eventually('no object is left', async () => (await shop.kubectl(left)).trim() === '', 60_000);
  });
});
