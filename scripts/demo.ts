// `npm run demo`: the whole main job on this machine, on the screen with its times — a real cluster, a private network behind real
// bastions, and a pod's psql that reaches the database through a PortForward. `npm run cluster -- down` takes everything away.
// Neighbours: lab/cluster/ (cluster and operator), lab/private-network/ (bastions and database), README.md (shows the same document).
import { ensureCluster } from '../lab/cluster/cluster.ts';
import { ensureOperator } from '../lab/cluster/operator.ts';
import { Shop } from '../lab/cluster/shop.ts';
import { startPrivateNetwork } from '../lab/private-network/network.ts';
import { CommandFailed } from '../lab/process/command.ts';

const began = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

async function main(): Promise<void> {
  say('PortForward: from kubectl apply to a row of a private database');
  const cluster = await chapter('A Kubernetes cluster on this machine', () => ensureCluster({ log: detail }));
  await chapter('The operator, installed by its Helm chart', () =>
    ensureOperator(cluster, { log: detail, values: { 'tunnels.logLevel': 'info', 'controller.logLevel': 'info' } }),
  );
  const network = await chapter('A private network: two bastions with sshd, PostgreSQL behind them', async () => {
    const started = await startPrivateNetwork();
    for (const { name, address } of [started.bastions.a, started.bastions.b]) {
      await cluster.registerHostDns(name, [address]);
      detail(`${name} is ${address}; behind it orders.db.internal is ${started.postgres.host}`);
    }
    return started;
  });
  try {
    const shop = await chapter('A namespace “shop” (Pod Security restricted) with a client pod', async () => {
      const made = await Shop.create(cluster, 'shop');
      await cluster.clientImage();
      await made.client();
      return made;
    });
    await chapter('The pod’s psql straight to the database: it must not reach it', async () => {
      const query = shop.psql(network.postgres.host, 'select 1', { timeoutSeconds: 3 });
      const refused = await query.then(
        () => undefined,
        (error: unknown) => (error instanceof CommandFailed ? error : Promise.reject(error)),
      );
      if (refused === undefined)
        throw new Error('the database was reached without a tunnel: the network is not private');
      quote('psql -h orders.db.internal', refused.stderr);
    });
    await chapter('kubectl apply -f orders-db.yaml', async () => {
      const documents = orderDocuments(network);
      await shop.apply(...documents);
      detail('one Secret with the key, one PortForward with two bastions');
    });
    await chapter('kubectl wait --for=condition=Ready pf/orders-db', async () => {
      await shop.ready('orders-db');
      quote('kubectl get pf', await shop.kubectl(['get', 'pf']));
    });
    await chapter('The same pod: psql -h orders-db', async () => {
      const rows = await shop.psql('orders-db', 'select id, customer, total from orders order by id');
      if (!rows.includes('Ada')) throw new Error(`these are not the rows: ${rows}`);
      quote("psql -h orders-db -c 'select * from orders'", rows);
    });
    say(`\nDone in ${seconds(began)}.`);
    await lookAround(cluster.kubeconfig);
  } finally {
    await network.stop();
  }
}

/** Holds the bastions and the database until Ctrl-C where a person watches; else says how to look at what stays. */
async function lookAround(kubeconfig: string): Promise<void> {
  const watched = process.stdin.isTTY && process.env['CI'] !== 'true';
  if (!watched)
    say('The bastions and the database end now, with this command; run in a terminal they stay until Ctrl-C.');
  say(`Look around:
  export KUBECONFIG=${kubeconfig}
  kubectl -n shop get pf -o wide
  kubectl -n shop describe pf orders-db
  kubectl -n shop exec -it client -- psql 'host=orders-db user=orders password=correct-horse dbname=orders'
Remove it all:
  npm run cluster -- down`);
  if (!watched) return;
  say('\nThe bastions and the database live as long as this command: Ctrl-C ends them.');
  const { promise, resolve } = Promise.withResolvers<void>();
  const watch = setInterval(() => {}, 60_000);
  process.once('SIGINT', resolve).once('SIGTERM', resolve);
  await promise;
  clearInterval(watch);
}

/** The document of the README, with this network's key and host keys. */
function orderDocuments(network: Awaited<ReturnType<typeof startPrivateNetwork>>): readonly object[] {
  const metadata = { namespace: 'shop' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'orders-bastion', ...metadata },
      stringData: { 'ssh-privatekey': network.key.privateKey },
    },
    {
      apiVersion: 'portforward.dev/v1alpha1',
      kind: 'PortForward',
      metadata: { name: 'orders-db', ...metadata },
      spec: {
        replicas: 2,
        ports: [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql' }],
        ssh: {
          user: 'tunnel',
          bastions: [{ host: network.bastions.a.name }, { host: network.bastions.b.name }],
          secretRef: { name: 'orders-bastion' },
          knownHosts: network.knownHosts,
        },
      },
    },
  ];
}

function say(line: string): void {
  console.log(line);
}

function detail(line: string): void {
  console.log(`    ${line.trimStart()}`);
}

function quote(what: string, output: string): void {
  console.log(`    $ ${what}`);
  for (const line of output.trimEnd().split('\n')) console.log(`    ${line}`);
}

async function chapter<Result>(title: string, work: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  say(`\n▸ ${title}`);
  const result = await work();
  say(`  done in ${seconds(started)} (${seconds(began)} since the start)`);
  return result;
}

await main();
