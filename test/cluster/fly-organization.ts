// An organization of fly.io that the cluster reaches: its API with TLS under a name that pods can resolve, a gateway on fly.io's own ports in a
// network namespace, and behind it, on the kernel's TCP, a Machine with PostgreSQL and one with a web page.
// Neighbours: test/support/fly (API and gateway), lab/private-network/network.ts (the namespace), shop.ts.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../lab/cluster/certificates.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import type { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { type Postgres, startPostgres } from '../../lab/private-network/postgres.ts';
import type { FlyApi } from '../support/fly/fly-api.ts';
import type { FlyGateway } from '../support/fly/fly-gateway.ts';
import { type FlyWorld, firstMachine, flyWorld } from '../support/fly/fly-world.ts';

const apiName = 'fly-api.example.test';
/** The gateway, as the API calls it. */
export const gatewayName = 'fra1.gateway.example.test';
const webMachine = firstMachine.replace(/100$/, '101');
const bundleName = 'fly-test-authority';

/** What the Machine of the app `web` answers. */
export const page = 'a page of a private network\n';

interface Parts {
  readonly cluster: Cluster;
  readonly directory: string;
  readonly network: PrivateNetwork;
  readonly postgres: Postgres;
  readonly web: Server;
  readonly world: FlyWorld;
}

export class FlyOrganization {
  readonly #parts: Parts;

  /** Resolves when API, gateway and both Machines answer. Apps: `orders-db` (PostgreSQL), `web` and `batch` (HTTP on 8080, one page). */
  static async start(cluster: Cluster): Promise<FlyOrganization> {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-fly-'));
    const network = await startPrivateNetwork();
    try {
      const { address, hostAddress, namespace } = network.bastions.a;
      const authority = new Authority(directory);
      await authority.create();
      await authority.issue('api', { user: apiName, names: [apiName], addresses: [hostAddress] });
      const tls = {
        key: readFileSync(authority.key('api'), 'utf8'),
        cert: readFileSync(authority.certificate('api'), 'utf8'),
      };
      const gateway = { listen: address, udpPort: 51_820, wsPort: 443, kernelTcp: true, namespace };
      const world = await flyWorld(gateway, { listen: hostAddress, tls });
      await cluster.registerHostDns(apiName, [hostAddress]);
      await cluster.registerHostDns(gatewayName, [address]);
      const postgres = await startPostgres({ host: '127.0.0.1', port: 5432, namespace });
      const web = createServer((_request, response) => void response.end(page));
      web.listen(0, hostAddress);
      await once(web, 'listening');
      const { port } = web.address() as AddressInfo;
      await world.gateway.addMachine(firstMachine, 5432, '127.0.0.1:5432');
      await world.gateway.addMachine(webMachine, 8080, `${hostAddress}:${port}`);
      const organization = new FlyOrganization({ cluster, directory, network, postgres, web, world });
      world.api.apps.push({ name: 'web', network: null }, { name: 'batch', network: null });
      world.api.endpoint = gatewayName;
      await organization.startMachines();
      return organization;
    } catch (error) {
      await network.stop();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  get api(): FlyApi {
    return this.#parts.world.api;
  }

  get gateway(): FlyGateway {
    return this.#parts.world.gateway;
  }

  get postgres(): Postgres {
    return this.#parts.postgres;
  }

  /** Of the gateway, as this machine reaches it. */
  get address(): string {
    return this.#parts.network.bastions.a.address;
  }

  /** Chart values: the authority is trusted, and the API is this one. */
  get chartValues(): Readonly<Record<string, string>> {
    return { 'tunnels.caBundle': bundleName, 'tunnels.flyApiUrl': this.#apiUrl(apiName) };
  }

  /** What `portforward open` on this machine needs in its environment. */
  get environment(): Readonly<Record<string, string>> {
    const { directory, network } = this.#parts;
    return {
      FLY_API_BASE_URL: this.#apiUrl(network.bastions.a.hostAddress),
      NODE_EXTRA_CA_CERTS: new Authority(directory).certificate(),
    };
  }

  /** All apps run, or all but `batch`. */
  async startMachines({ batch = true }: { readonly batch?: boolean } = {}): Promise<void> {
    const names = { 'orders-db.internal': [firstMachine], 'web.internal': [webMachine] };
    await this.gateway.setNames(batch ? { ...names, 'batch.internal': [webMachine] } : names);
  }

  /** Puts the certificate that tunnels trust where the chart expects it. */
  async trustedIn(shop: Shop): Promise<void> {
    const certificate = readFileSync(new Authority(this.#parts.directory).certificate(), 'utf8');
    await shop.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: bundleName, namespace: shop.namespace },
      data: { 'ca.crt': certificate },
    });
  }

  async stop(): Promise<void> {
    const { cluster, directory, network, postgres, web, world } = this.#parts;
    for (const name of [apiName, gatewayName]) await cluster.registerHostDns(name, []);
    await world[Symbol.asyncDispose]();
    web.closeAllConnections();
    web.close();
    await postgres.stop();
    await network.stop();
    rmSync(directory, { recursive: true, force: true });
  }

  #apiUrl(host: string): string {
    return `https://${host}:${this.api.port}`;
  }
}
