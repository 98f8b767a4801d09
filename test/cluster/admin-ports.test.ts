// The admin ports of the controller (8080) and of tunnel pods (9808) under attack by whoever reaches them: a pod, 200 addresses, the
// node itself, whose address the kubelet's probes have too. Nothing restarts, nothing becomes unready, and Prometheus is answered.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator, operatorNamespace } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { command } from '../../lab/process/command.ts';
import { adminPort } from '../../src/contract/pod.ts';
import { assertEvery } from '../support/assert-every.ts';

const program = join(import.meta.dirname, 'hostile-connections.mjs');
const connections = 1_000;
/** The controller's liveness gives up after 30 s, a tunnel pod's readiness after 3 s. */
const seconds = 32;
/** How many each attacker opens at least: where it gets few turns, it goes on for longer. */
const least = 2 * connections;
const limit = { timeoutMs: (4 * seconds + 60) * 1_000 };
const many = Array.from({ length: 200 }, (_, index) => `198.18.255.${index + 1}`);

interface Target {
  readonly namespace: string;
  readonly pod: string;
  readonly host: string;
  readonly port: number;
}

interface Attacked {
  readonly port: number;
  readonly opened: number;
  readonly closed: number;
  readonly mostOpen: number;
}

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly status: {
      readonly podIP: string;
      readonly conditions: readonly {
        readonly type: string;
        readonly status: string;
        readonly lastTransitionTime: string;
      }[];
      readonly containerStatuses: readonly { readonly restartCount: number }[];
    };
  }[];
}

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;
let targets: readonly Target[];
let hasAddresses = false;

/** Those that stay: an install of other values before this one leaves pods that end for a while. */
async function podsOf(namespace: string, selector: string): Promise<Pods['items']> {
  const found = await cluster.kubectl(['get', 'pods', '-n', namespace, '-l', selector, '--output', 'json']);
  return (JSON.parse(found) as Pods).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Restarts, and since when the pod is Ready. */
async function health({ namespace, pod }: Target): Promise<string> {
  const found = await cluster.kubectl(['get', 'pod', pod, '-n', namespace, '--output', 'json']);
  const { status } = JSON.parse(found) as Pods['items'][number];
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  return `${status.containerStatuses[0]?.restartCount} restarts, Ready ${ready?.status} since ${ready?.lastTransitionTime}`;
}

interface Scraped {
  readonly port: number;
  answered: number;
  failed: number;
  failedInARow: number;
  slowestSeconds: number;
}

/** In the client pod; ends the scraping. */
const stopFile = '/dev/shm/stop';

/** Prometheus: a new connection each second, from a pod that does nothing else, until `stopFile` is there. */
async function scrape({ host, port }: Target): Promise<Scraped> {
  const curl = `curl --silent --max-time 5 --output /dev/null --write-out '%{http_code} %{time_total}\n'`;
  // One process for all: with a kubectl for each, the test itself would use up the machine.
  const loop = `until [ -e ${stopFile} ]; do ${curl} http://${host}:${port}/metrics || true; sleep 1; done`;
  const printed = await shop.exec(['sh', '-c', loop], limit);
  const scraped: Scraped = { port, answered: 0, failed: 0, failedInARow: 0, slowestSeconds: 0 };
  let row = 0;
  for (const line of printed.trim().split('\n')) {
    const [code, time] = line.split(' ');
    if (code === '200') {
      row = 0;
      scraped.answered += 1;
      scraped.slowestSeconds = Math.max(scraped.slowestSeconds, Number(time));
    } else {
      row += 1;
      scraped.failed += 1;
      scraped.failedInARow = Math.max(scraped.failedInARow, row);
    }
  }
  return scraped;
}

suite('admin ports under attack', () => {
  before(async () => {
    cluster = await ensureCluster();
    const { image } = await ensureOperator(cluster);
    network = await startPrivateNetwork();
    shop = await Shop.create(cluster, 'admin-ports');
    await Promise.all([shop.client(), shop.client('attacker', image)]);
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
    const { a } = network.bastions;
    await shop.portForward('orders-db', {
      replicas: 1,
      ports: [{ port: 5432, destinationHost: network.inside.address }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }],
        secretRef: { name: 'bastion' },
        knownHosts: a.knownHosts({ name: a.address }),
      },
    });
    await shop.ready('orders-db');
    const selector = 'app.kubernetes.io/name=portforward';
    const [operator] = await podsOf(operatorNamespace, selector);
    const [tunnel] = await podsOf(shop.namespace, 'portforward.dev/name=orders-db');
    assert.ok(operator !== undefined && tunnel !== undefined);
    targets = [
      { namespace: operatorNamespace, pod: operator.metadata.name, host: operator.status.podIP, port: 8080 },
      { namespace: shop.namespace, pod: tunnel.metadata.name, host: tunnel.status.podIP, port: adminPort },
    ];
    if (cluster.nodePid !== undefined) {
      // One that a killed run left behind is taken over.
      await changeAddresses('replace');
      hasAddresses = true;
    }
  });
  after(async () => {
    if (hasAddresses) await changeAddresses('del');
    // The next file need not wait for it.
    await shop?.delete({ wait: false });
    await network?.stop();
  });

  const inNode = (...args: readonly string[]): Promise<string> =>
    command('nsenter', ['--target', `${cluster.nodePid}`, '--net', '--', ...args], limit);
  // Attackers have machines of their own: here theirs is the last that gets a turn.
  const fromNode = (argument: string): Promise<string> =>
    inNode('nice', '-n', '19', process.execPath, program, argument);
  const fromPod = (argument: string): Promise<string> => {
    const evaluated = ['node', '--input-type=module', '--eval', readFileSync(program, 'utf8'), argument];
    return shop.exec(evaluated, { pod: 'attacker', ...limit });
  };

  const changeAddresses = (verb: string): Promise<unknown> =>
    inNode('sh', '-c', many.map((one) => `ip address ${verb} ${one}/32 dev lo`).join('\n'));

  interface Attacker {
    readonly addresses: readonly string[];
    readonly onNode: boolean;
    /** Runs the program with its argument. */
    readonly run: (argument: string) => Promise<string>;
  }
  const attackers: Readonly<Record<string, Attacker>> = {
    'one pod': { addresses: [''], onNode: false, run: fromPod },
    '200 addresses': { addresses: many, onNode: true, run: fromNode },
    'the address that the kubelet’s probes have': { addresses: [''], onNode: true, run: fromNode },
  };

  for (const [name, { addresses, onNode, run }] of Object.entries(attackers)) {
    test(`by ${name}`, async (t) => {
      if (onNode && cluster.nodePid === undefined) return t.skip('the node of this cluster is not on this machine');
      const before = await Promise.all(targets.map(health));
      await shop.exec(['rm', '-f', stopFile]);
      const scraping = Promise.all(targets.map(scrape));
      scraping.catch(() => undefined);
      let printed: string;
      try {
        printed = await run(JSON.stringify({ targets, addresses, count: connections, least, seconds }));
      } finally {
        await shop.exec(['touch', stopFile]);
      }
      const attacked = printed
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Attacked);
      for (const { port, opened, closed, mostOpen } of attacked)
        t.diagnostic(`${port}: ${opened} connections opened, ${closed} closed, at most ${mostOpen} at once`);
      const scraped = await scraping;
      for (const { port, answered, failed, slowestSeconds } of scraped)
        t.diagnostic(
          `${port}: ${answered} of ${answered + failed} scrapes answered, the slowest after ${slowestSeconds} s`,
        );
      assert.equal(attacked.length, targets.length);
      assertEvery(attacked, ({ opened }) => opened > least, 'the attack goes on');
      // One lost scrape is a gap of one interval; Prometheus looks back over several.
      assertEvery(scraped, (one) => one.answered > 3 && one.failedInARow < 3, 'Prometheus is answered');
      assert.deepEqual(await Promise.all(targets.map(health)), before, 'no pod restarted or became unready');
    });
  }
});
