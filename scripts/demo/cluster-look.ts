// `npm run demo`: the whole main job on this machine, on the screen with its times: a real cluster, a private network behind real
// bastions, and a pod's psql that reaches the database through a PortForward.
// Neighbours: lab/cluster/ (cluster and operator), lab/private-network/ (bastions and database), readme-document.ts (what is applied).
import { type Cluster, ensureCluster, useKind } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { unlessAborted } from '../../lab/process/abort.ts';
import { CommandFailed } from '../../lab/process/command.ts';
import { ensurePeers } from '../system-packages.ts';
import { readmeDocument } from './readme-document.ts';
import type { Screen } from './screen.ts';

/** Packages of the private network: its bastions and its database. */
const peers = ['openssh-server', 'openssh-client', 'postgresql', 'iproute2', 'nftables', 'openssl'];

/** Resolves when all has been shown; where a person watches, the bastions and the database stay until the signal. */
export async function clusterLook(screen: Screen, signal: AbortSignal): Promise<void> {
  const { log } = screen;
  screen.say('PortForward: from kubectl apply to a row of a private database');
  if (await useKind()) {
    throw new Error(
      'The demo’s private network cannot be reached from kind. As root, call PF_CLUSTER=host npm run demo; for a look without a cluster, npm run demo -- --laptop',
    );
  }
  // Bundle, image, chart.
  log.expect?.(3);
  const cluster = await screen.chapter('A Kubernetes cluster on this machine', async () => {
    await ensurePeers({ log, signal, only: peers });
    return ensureCluster({ log, signal });
  });
  await screen.chapter('The operator, installed by its Helm chart', () =>
    ensureOperator(cluster, { log, signal, values: { 'tunnels.logLevel': 'info', 'controller.logLevel': 'info' } }),
  );
  signal.throwIfAborted();
  const network = await screen.chapter('A private network: two bastions with sshd, PostgreSQL behind them', () =>
    startPrivateNetwork(),
  );
  try {
    await unlessAborted(signal, show(screen, cluster, network));
    screen.say(`\nDone in ${screen.sinceStart()}.`);
    await lookAround(screen, cluster.kubeconfig, signal);
  } finally {
    await network.stop();
  }
}

async function show(screen: Screen, cluster: Cluster, network: PrivateNetwork): Promise<void> {
  const { documents, hosts } = readmeDocument(network);
  for (const { name, bastion } of hosts) {
    await cluster.registerHostDns(name, [bastion.address]);
    screen.detail(`${name} is ${bastion.address}; behind it ${network.databaseName} is ${network.postgres.host}`);
  }
  const shop = await screen.chapter('A namespace “shop” (Pod Security restricted) with a client pod', async () => {
    const made = await Shop.create(cluster, 'shop');
    await cluster.clientImage();
    await made.client();
    return made;
  });
  await screen.chapter('The pod’s psql straight to the database: it must not reach it', async () => {
    const query = shop.psql(network.postgres.host, 'select 1', { timeoutSeconds: 3 });
    const refused = await query.then(
      () => undefined,
      (error: unknown) => (error instanceof CommandFailed ? error : Promise.reject(error)),
    );
    if (refused === undefined) throw new Error('the database was reached without a tunnel: the network is not private');
    screen.quote(`psql -h ${network.databaseName}`, refused.stderr);
  });
  await screen.chapter('kubectl apply -f orders-db.yaml', async () => {
    await shop.apply(...documents);
    screen.detail('the README’s document: one Secret with the key, one PortForward with two bastions');
  });
  await screen.chapter('kubectl wait --for=condition=Ready pf/orders-db', async () => {
    await shop.ready('orders-db');
    screen.quote('kubectl get pf', await shop.kubectl(['get', 'pf']));
  });
  await screen.chapter('The same pod: psql -h orders-db', async () => {
    const rows = await shop.psql('orders-db', 'select id, customer, total from orders order by id');
    if (!rows.includes('Ada')) throw new Error(`these are not the rows: ${rows}`);
    screen.quote("psql -h orders-db -c 'select * from orders'", rows);
  });
}

/** Holds the bastions and the database until Ctrl-C where a person watches; else says how to look at what stays. */
async function lookAround(screen: Screen, kubeconfig: string, signal: AbortSignal): Promise<void> {
  const watched = process.stdin.isTTY && process.stdout.isTTY && process.env['CI'] !== 'true';
  if (!watched)
    screen.say('The bastions and the database end now, with this command; run in a terminal they stay until Ctrl-C.');
  screen.say(`Look around:
  export KUBECONFIG=${kubeconfig}
  kubectl -n shop get pf -o wide
  kubectl -n shop describe pf orders-db
  kubectl -n shop exec -it client -- psql 'host=orders-db user=orders password=correct-horse dbname=orders'
Remove it all:
  npm run cluster -- down`);
  if (!watched) return;
  screen.say('\nThe bastions and the database live as long as this command: Ctrl-C ends them.');
  await untilAborted(signal);
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  // A timer, because an abort signal alone does not keep the process.
  const watch = setInterval(() => {}, 60_000);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearInterval(watch);
}
