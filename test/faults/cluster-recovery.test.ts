// Outages of a minute on a real cluster, seen by psql in a pod (docs/promises.md, promise 4): it works within 2 s of the bastions' return.
// Asserts three times the budget and prints the exact figure.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type Bastion, type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';

const outageMs = 60_000;
const budgetSeconds = 2;

interface Outage {
  readonly begin: (bastion: Bastion) => Promise<unknown>;
  readonly end: (bastion: Bastion) => Promise<unknown>;
}

/** Each in a network of its own, at the same time; the name is the Service's. */
const outages: Readonly<Record<string, Outage & { readonly what: string }>> = {
  refused: {
    what: 'sshd killed, its port refusing',
    begin: (bastion) => bastion.kill(),
    end: (bastion) => bastion.start(),
  },
  silent: {
    what: 'a black hole',
    begin: (bastion) => bastion.blackHole(),
    end: (bastion) => bastion.heal(),
  },
};

let cluster: Cluster;
let shop: Shop;
const networks = new Map<string, PrivateNetwork>();

async function open(name: string): Promise<void> {
  const network = await startPrivateNetwork();
  networks.set(name, network);
  await shop.secret(`bastion-${name}`, { 'ssh-privatekey': network.key.privateKey });
  const { a, b } = network.bastions;
  await shop.portForward(name, {
    replicas: 2,
    ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
    ssh: {
      user: 'tunnel',
      bastions: [{ host: a.address }, { host: b.address }],
      secretRef: { name: `bastion-${name}` },
      knownHosts: a.knownHosts({ name: a.address }) + b.knownHosts({ name: b.address }),
    },
  });
  await shop.ready(name);
  await eventually('a client is carried', async () => (await shop.psql(name, 'select 1').catch(String)) === '1\n');
}

const onBastions = (name: string, act: (bastion: Bastion) => Promise<unknown>): Promise<unknown> =>
  Promise.all(Object.values(networks.get(name)?.bastions ?? {}).map(act));

/** Resolves with the time at which psql in the pod has printed a row; each try takes as long as psql takes. */
async function rowAt(name: string): Promise<number> {
  // One process in the pod retries, so that the start of an exec is not counted with each try.
  const target = `host=${name} user=orders dbname=orders password=correct-horse connect_timeout=2`;
  const loop = `until psql --no-psqlrc -At -c 'select 1' '${target}' 2>/dev/null; do :; done`;
  await shop.exec(['timeout', '60', 'sh', '-c', loop]);
  return performance.now();
}

suite('recovery on the cluster', { concurrency: true }, () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    shop = await Shop.create(cluster, 'recovery');
    await shop.client();
    await Promise.all(Object.keys(outages).map(open));
  });
  after(async () => {
    await shop?.delete();
    await Promise.all([...networks.values()].map((network) => network.stop()));
  });

  for (const [name, { what, begin, end }] of Object.entries(outages)) {
    test(`${what} for a minute: psql works within ${budgetSeconds} s of the return`, async (t) => {
      let row: Promise<number> | undefined;
      try {
        await onBastions(name, begin);
        await delay(outageMs);
        // Started before the return: the time in which an exec starts is not part of the promise.
        row = rowAt(name);
        row.catch(() => undefined);
        await assert.rejects(shop.psql(name, 'select 1', { timeoutSeconds: 3 }), 'the outage is one');
      } finally {
        await onBastions(name, end);
      }
      const returnedAt = performance.now();
      const seconds = Math.max(0, (await row) - returnedAt) / 1000;
      t.diagnostic(`${what}: a row ${seconds.toFixed(2)} s after the return (budget ${budgetSeconds} s)`);
      assert.ok(seconds < 3 * budgetSeconds, `${seconds} s`);
      await shop.ready(name, 60);
    });
  }
});
