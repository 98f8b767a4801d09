// One tunnel with two bastions that a real Prometheus watches by the chart's own monitors, rules and dashboards. Times are short: an alert
// fires after a second, and what it looks back on is ten seconds.
// Neighbours: chart-parts.ts (what the chart brings), worlds.ts (what breaks), test/cluster/monitoring.test.ts and every-alert.ts (who runs them).
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { CommandFailed } from '../../lab/process/command.ts';
import { Prometheus } from '../support/prometheus.ts';
import { type Rule, watchingParts } from './chart-parts.ts';

const tunnelName = 'orders-db';
/** So few that a test fills it. */
const maxConnections = 8;

export class WatchedShop {
  readonly cluster: Cluster;
  readonly network: PrivateNetwork;
  readonly shop: Shop;
  readonly prometheus: Prometheus;
  readonly rules: readonly Rule[];

  private constructor(parts: Pick<WatchedShop, 'cluster' | 'network' | 'shop' | 'prometheus' | 'rules'>) {
    this.cluster = parts.cluster;
    this.network = parts.network;
    this.shop = parts.shop;
    this.prometheus = parts.prometheus;
    this.rules = parts.rules;
  }

  /** Resolves when the tunnel is Ready and Prometheus has it. `values` are further `--set` of the rules. */
  static async open(namespace: string, values: readonly string[] = []): Promise<WatchedShop> {
    const cluster = await ensureCluster();
    await ensureOperator(cluster);
    const network = await startPrivateNetwork();
    const opened: (() => Promise<unknown>)[] = [() => network.stop()];
    try {
      const shop = await Shop.create(cluster, namespace);
      opened.push(() => shop.delete());
      const { monitors, rules } = await watchingParts(values);
      const prometheus = await Prometheus.start({ kubectl: (args) => cluster.kubectl(args), monitors, rules });
      opened.push(() => prometheus.stop());
      const all = rules.groups.flatMap((group) => group.rules);
      const watched = new WatchedShop({ cluster, network, shop, prometheus, rules: all });
      await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
      await Promise.all([shop.client(), watched.apply()]);
      await shop.ready(tunnelName);
      // The endpoints lag behind the pod.
      const isCarried = async (): Promise<boolean> => (await shop.psql(tunnelName, 'select 1').catch(String)) === '1\n';
      await eventually('a client is carried', isCarried);
      await prometheus.discover();
      await watched.sees(`portforward_tunnel_ready{namespace="${namespace}"} == 1`);
      return watched;
    } catch (error) {
      for (const close of opened.toReversed()) await close();
      throw error;
    }
  }

  /** Creates the tunnel, or changes it; or makes others of these names. */
  apply(change: { readonly spec?: object } = {}, names: readonly string[] = [tunnelName]): Promise<void> {
    const { a, b } = this.network.bastions;
    const spec = {
      replicas: 1,
      connection: { maxConnections },
      healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 2 },
      ports: [{ port: 5432, destinationHost: this.network.databaseName, appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }, { host: b.address }],
        secretRef: { name: 'bastion' },
        knownHosts: [a, b].map((bastion) => bastion.knownHosts({ name: bastion.address })).join(''),
      },
      ...change.spec,
    };
    const kind = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward' };
    const { namespace } = this.shop;
    return this.shop.apply(...names.map((name) => ({ ...kind, metadata: { name, namespace }, spec })));
  }

  /** Resolves when the query returns something. @throws Error with Prometheus' targets if it does not in time. */
  async sees(query: string, withinMs = 60_000): Promise<void> {
    await eventually(query, async () => (await this.prometheus.query(query)).length > 0, withinMs).catch(
      async (error: unknown) => {
        throw new Error(`${query}: nothing; targets:\n${await this.prometheus.targets()}`, { cause: error });
      },
    );
  }

  /** Opens more connections than the pod may carry; they end with the namespace. What came of it is in the series. */
  fill(): void {
    const hold = `for i in $(seq ${maxConnections + 2}); do (sleep 600 | nc ${tunnelName} 5432 >/dev/null) & done; wait`;
    const ended = (error: unknown): void => {
      if (!(error instanceof CommandFailed)) throw error;
    };
    this.shop.exec(['sh', '-c', hold], { timeoutMs: 600_000 }).catch(ended);
  }

  async close(): Promise<void> {
    await this.prometheus.stop();
    await this.shop.delete();
    await this.network.stop();
  }
}
