// `kubectl portforward` in the real cluster, as a new user would use it: what it tells of running tunnels, a tunnel of the cluster opened here,
// and `portforward from` whose document becomes Ready.
// Neighbours: test/integration/cli/kubectl/ (the same commands against an API server alone), docs/kubectl.md (the screen).
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { Plugin } from '../integration/cli/kubectl/plugin.ts';
import { customers, ended, Folder, localPort, portforward } from '../integration/cli/laptop.ts';

const namespace = 'plugin-shop';

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;
let folder: Folder;
let plugin: Plugin;

suite('kubectl portforward in a cluster', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    await cluster.clientImage();
    network = await startPrivateNetwork();
    for (const { name, address } of Object.values(network.bastions)) await cluster.registerHostDns(name, [address]);
    folder = new Folder();
    shop = await Shop.create(cluster, namespace);
    await shop.client();
    const { a, b } = network.bastions;
    await shop.secret('orders-bastion', { 'ssh-privatekey': network.key.privateKey });
    await shop.portForward('orders-db', {
      replicas: 2,
      ports: [{ port: 5432, name: 'postgres', destinationHost: network.databaseName, appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.name }, { host: b.name }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: network.knownHosts,
      },
    });
    await shop.ready('orders-db');
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'portforward/orders-db', '--timeout=60s']);
    // The endpoints lag behind the pods.
    await eventually(
      'a client is carried',
      async () => (await shop.psql('orders-db', 'select 1').catch(String)) === '1\n',
    );
    plugin = new Plugin(cluster.kubeconfig);
  });
  after(async () => {
    plugin?.[Symbol.dispose]();
    folder?.[Symbol.dispose]();
    await shop?.delete();
    await network?.stop();
  });

  const here = ['-n', namespace] as const;

  test('status counts the clients of a port over its pods, and lists bastions and pods', async () => {
    const sleeping = shop.psql('orders-db', 'select pg_sleep(60)', { timeoutSeconds: 5 }).catch(String);
    try {
      let told = '';
      // A pod that a busy machine does not ask in time leaves the column empty.
      const isCounted = async (): Promise<boolean> => {
        told = await plugin.call('status', 'orders-db', ...here);
        return / +1 +\d+\w* *$/m.test(told);
      };
      await eventually('a client is counted', isCounted, 60_000);
      const lines = told.split('\n');
      assert.match(lines[0] ?? '', /^TUNNEL +PORT +STATE +VIA +CLIENTS +SINCE +REASON$/);
      assert.match(lines[1] ?? '', /^orders-db +5432\/postgres +Ready +bastion-[ab]\.example\.test:22\S* +1 +\d/);
      assert.equal(
        lines.filter((line) => /^bastion-[ab]\.example\.test:22 +(InUse|StandingBy|Untried)/.test(line)).length,
        2,
      );
      assert.equal(
        lines.filter((line) => /^pf-orders-db-\S+ +Connected +bastion-/.test(line)).length,
        2,
        lines.join('\n'),
      );
      assert.ok(lines.includes(`Address orders-db.${namespace}.svc, 2/2 pods ready.`), lines.join('\n'));
    } finally {
      const others = "query like '%pg_sleep%' and pid <> pg_backend_pid()";
      await shop.psql('orders-db', `select pg_terminate_backend(pid) from pg_stat_activity where ${others}`);
      await sleeping;
    }
  });

  test('status tells a dead destination and the next step, and that it came back', async () => {
    await network.postgres.kill();
    try {
      await shop.reason('orders-db', 'DestinationReachable', 'DestinationRefused', 60);
      const told = await plugin.call('status', ...here);
      assert.match(told, /^orders-db +5432\/postgres +Unreachable .* DestinationRefused$/m);
      assert.match(
        told,
        /^orders-db: Unreachable, DestinationRefused: .*orders\.db\.internal:5432 refuses the connection/m,
      );
      assert.ok(told.includes(`kubectl portforward doctor orders-db -n ${namespace} finds the hop at fault`), told);
    } finally {
      await network.postgres.start();
    }
    await shop.ready('orders-db');
    assert.match(await plugin.call('status', ...here), /^orders-db +5432\/postgres +Ready /m);
  });

  test('logs has the lines of every pod; suspend, resume and reconnect are carried out', async () => {
    const pods = (await shop.tunnelPods('orders-db')).map(({ metadata }) => metadata.name);
    const logs = await plugin.call('logs', 'orders-db', ...here);
    for (const pod of pods) assert.ok(logs.includes(`[pod/${pod}/tunnel]`), `${pod}\n${logs}`);
    await plugin.call('suspend', 'orders-db', ...here);
    await shop.reason('orders-db', 'Ready', 'Suspended');
    assert.match(await plugin.call('status', ...here), /^orders-db +5432\/postgres +Suspended /m);
    await plugin.call('resume', 'orders-db', ...here);
    await shop.ready('orders-db');
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'portforward/orders-db', '--timeout=60s']);
    const before = new Set((await shop.tunnelPods('orders-db')).map(({ metadata }) => metadata.uid));
    await plugin.call('reconnect', 'orders-db', ...here);
    await eventually(
      'both pods are new',
      async () => {
        const now = await shop.tunnelPods('orders-db');
        return now.length === 2 && now.every(({ metadata }) => !before.has(metadata.uid));
      },
      120_000,
    );
    await shop.ready('orders-db');
  });

  test('open carries psql on this machine by the document and the Secret of the cluster', async () => {
    // This machine does not use the cluster's DNS.
    const { a } = network.bastions;
    await shop.portForward('by-address', {
      suspend: true,
      ports: [{ port: 5432, destinationHost: network.databaseName }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: network.knownHosts.replaceAll(a.name, a.address),
      },
    });
    const opened = plugin.start('open', 'by-address', ...here, '--port', '0:5432');
    try {
      const port = await localPort(opened, 'p5432');
      await opened.line(/connected via/);
      assert.match(await customers(network.postgres, port), /Ada/);
      assert.match(
        opened.log().join('\n'),
        new RegExp(`reads the Secret ${namespace}/orders-bastion, of it only ssh-privatekey, `),
      );
    } finally {
      await opened.stop();
    }
  });

  test('a command of today, applied by from, becomes Ready once its Secret is there', async () => {
    const { a } = network.bastions;
    const key = folder.write('id_ed25519', network.key.privateKey);
    const config = folder.write(
      'config',
      `Host bastion\n  HostName ${a.name}\n  User tunnel\n  IdentityFile ${key}\n  UserKnownHostsFile ${folder.write('known_hosts', network.knownHosts)}\n`,
    );
    const context = (await cluster.kubectl(['config', 'current-context'])).trim();
    const from = ['from', '--apply', '--context', context, '-n', namespace, '--name', 'by-hand', '--'];
    const ssh = ['ssh', '-F', config, '-N', '-L', `15432:${network.databaseName}:5432`, 'bastion'];
    const made = await ended(portforward([...from, ...ssh], plugin.env));
    assert.equal(made.end, 'exit 0', made.output);
    const line = made.output
      .split('\n')
      .find((each) => each.trim().startsWith('kubectl ') && each.includes('create secret'));
    assert.ok(line, made.output);
    await plugin.kubectl(...line.trim().split(' ').slice(1));
    await shop.ready('by-hand');
    await eventually(
      'a client is carried',
      async () => (await shop.psql('by-hand', 'select 1').catch(String)) === '1\n',
    );
  });
});
