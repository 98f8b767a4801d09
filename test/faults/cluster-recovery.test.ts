// Outages of a minute on a real cluster, seen by psql in a pod (docs/promises.md, promise 4): it works within 2 s of the bastions' return.
// Asserts three times the budget and prints the exact figure.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';

const outageMs = 60_000;
const budgetSeconds = 2;

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;

suite('recovery on the cluster', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    network = await startPrivateNetwork();
    shop = await Shop.create(cluster, 'recovery');
    await shop.client();
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
    const { a, b } = network.bastions;
    await shop.portForward('db', {
      replicas: 2,
      ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }, { host: b.address }],
        secretRef: { name: 'bastion' },
        knownHosts: a.knownHosts({ name: a.address }) + b.knownHosts({ name: b.address }),
      },
    });
    await shop.ready('db');
    await eventually('a client is carried', async () => (await shop.psql('db', 'select 1').catch(String)) === '1\n');
  });
  after(async () => {
    await shop?.delete();
    await network?.stop();
  });

  /** Resolves with the time at which psql in the pod has printed a row; each try takes as long as psql takes. */
  async function rowAt(): Promise<number> {
    // One process in the pod retries, so that the start of an exec is not counted with each try.
    const target = 'host=db user=orders dbname=orders password=correct-horse connect_timeout=2';
    const loop = `until psql --no-psqlrc -At -c 'select 1' '${target}' 2>/dev/null; do :; done`;
    await shop.exec(['timeout', '60', 'sh', '-c', loop]);
    return performance.now();
  }

  const outages = {
    'sshd killed, its port refusing': {
      begin: () => Promise.all(Object.values(network.bastions).map((bastion) => bastion.kill())),
      end: () => Promise.all(Object.values(network.bastions).map((bastion) => bastion.start())),
    },
    'a black hole': {
      begin: () => Promise.all(Object.values(network.bastions).map((bastion) => bastion.blackHole())),
      end: () => Promise.all(Object.values(network.bastions).map((bastion) => bastion.heal())),
    },
  };

  for (const [name, outage] of Object.entries(outages)) {
    test(`${name} for a minute: psql works within ${budgetSeconds} s of the return`, async (t) => {
      let row: Promise<number> | undefined;
      try {
        await outage.begin();
        await delay(outageMs);
        // Started before the return: the time in which an exec starts is not part of the promise.
        row = rowAt();
        row.catch(() => undefined);
        await assert.rejects(shop.psql('db', 'select 1', { timeoutSeconds: 3 }), 'the outage is one');
      } finally {
        await outage.end();
      }
      const returnedAt = performance.now();
      const seconds = Math.max(0, (await row) - returnedAt) / 1000;
      t.diagnostic(`${name}: a row ${seconds.toFixed(2)} s after the return (budget ${budgetSeconds} s)`);
      assert.ok(seconds < 3 * budgetSeconds, `${seconds} s`);
      await shop.ready('db', 60);
    });
  }
});
