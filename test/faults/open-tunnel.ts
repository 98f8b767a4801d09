// A tunnel on a real cluster, with two pods, through two bastions of a network of its own, to the database behind them.
// Neighbours: cluster-recovery.test.ts and monkey.ts open it, disturbances.ts breaks it, monkey-load.ts are its clients.
import { eventually } from '../../lab/base/eventually.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import type { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';

export class OpenTunnel {
  readonly cluster: Cluster;
  readonly shop: Shop;
  /** Of the PortForward and its Service. */
  readonly name: string;
  readonly network: PrivateNetwork;

  /** Resolves when the shop's client pod is carried. */
  static async through(
    { cluster, shop }: { readonly cluster: Cluster; readonly shop: Shop },
    name: string,
  ): Promise<OpenTunnel> {
    const network = await startPrivateNetwork();
    try {
      const tunnel = new OpenTunnel(cluster, shop, name, network);
      await tunnel.useKey(network.key.privateKey);
      const { a, b } = network.bastions;
      await shop.portForward(name, {
        replicas: 2,
        ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
        ssh: {
          user: 'tunnel',
          bastions: [{ host: a.address }, { host: b.address }],
          secretRef: { name: tunnel.#secret },
          knownHosts: a.knownHosts({ name: a.address }) + b.knownHosts({ name: b.address }),
        },
      });
      await shop.ready(name);
      await eventually('a client is carried', async () => (await shop.psql(name, 'select 1').catch(String)) === '1\n');
      return tunnel;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  private constructor(cluster: Cluster, shop: Shop, name: string, network: PrivateNetwork) {
    this.cluster = cluster;
    this.shop = shop;
    this.name = name;
    this.network = network;
  }

  get #secret(): string {
    return `bastion-${this.name}`;
  }

  /** What its Secret holds from now on. */
  async useKey(privateKey: string): Promise<void> {
    await this.shop.secret(this.#secret, { 'ssh-privatekey': privateKey });
  }
}
