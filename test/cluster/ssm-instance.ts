// An instance of the private network that only Session Manager can reach: the service runs on it with TLS under a name that pods can
// resolve, its agents dial what the instance reaches, and PostgreSQL listens on the instance's own loopback.
// Neighbours: test/support/ssm (the service), lab/private-network/network.ts (the machine and the database behind it), shop.ts.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../lab/cluster/certificates.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import type { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { type Postgres, startPostgres } from '../../lab/private-network/postgres.ts';
import { SessionManager } from '../support/ssm/session-manager.ts';

/** The node's id, as every service here knows it. */
export const instanceId = 'i-0123456789abcdef0';
export const region = 'eu-west-1';

const serviceName = 'ssm.example.test';
const firstPort = 8443;
const bundleName = 'test-authority';

/** Static keys as AWS gives them out, and as a Secret holds them. */
export interface Keys {
  readonly AWS_ACCESS_KEY_ID: string;
  readonly AWS_SECRET_ACCESS_KEY: string;
  readonly AWS_SESSION_TOKEN?: string;
}

/** Keys that nothing else uses, so that they are found wherever they leak; with a token they are temporary. */
export function newKeys({ temporary = false } = {}): Keys {
  return {
    AWS_ACCESS_KEY_ID: `${temporary ? 'ASIA' : 'AKIA'}${randomBytes(8).toString('hex').toUpperCase()}`,
    AWS_SECRET_ACCESS_KEY: randomBytes(30).toString('base64'),
    ...(temporary ? { AWS_SESSION_TOKEN: `FwoGZXIv${randomBytes(120).toString('base64')}` } : {}),
  };
}

/** How a service is given keys. */
export function accepted(...all: readonly Keys[]) {
  return Object.fromEntries(
    all.map((keys) => [
      keys.AWS_ACCESS_KEY_ID,
      {
        Secret: keys.AWS_SECRET_ACCESS_KEY,
        ...(keys.AWS_SESSION_TOKEN === undefined ? {} : { Token: keys.AWS_SESSION_TOKEN }),
      },
    ]),
  );
}

/** The tokens that open data channels: whoever has one has the session. */
export const channelToken = /AAEAA[0-9a-f]{8}-/;

export class Instance {
  readonly network: PrivateNetwork;
  /** On the instance, at 127.0.0.1:5432 there and nowhere else. */
  readonly postgres: Postgres;
  readonly services: readonly SessionManager[];
  readonly #cluster: Cluster;
  readonly #directory: string;

  /** Resolves when that many services, each independent of the others, answer at the instance. */
  static async start(cluster: Cluster, services = 1): Promise<Instance> {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-instance-'));
    const network = await startPrivateNetwork();
    try {
      const { address, namespace } = network.bastions.a;
      const authority = new Authority(directory);
      await authority.create();
      await authority.issue('service', { user: serviceName, names: [serviceName] });
      await cluster.registerHostDns(serviceName, [address]);
      const tls = {
        name: serviceName,
        certificate: authority.certificate('service'),
        key: authority.key('service'),
        authority: readFileSync(authority.certificate(), 'utf8'),
      };
      const listen = Array.from({ length: services }, (_, index) => `${address}:${firstPort + index}`);
      const [postgres, ...all] = await Promise.all([
        startPostgres({ host: '127.0.0.1', port: 5432, namespace }),
        ...listen.map((place) => SessionManager.start({ namespace, listen: place, tls })),
      ]);
      for (const service of all) await service.set({ Hosts: { [network.databaseName]: network.inside.address } });
      return new Instance({ cluster, directory, network, postgres, services: all });
    } catch (error) {
      await network.stop();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(parts: {
    readonly cluster: Cluster;
    readonly directory: string;
    readonly network: PrivateNetwork;
    readonly postgres: Postgres;
    readonly services: readonly SessionManager[];
  }) {
    this.#cluster = parts.cluster;
    this.#directory = parts.directory;
    this.network = parts.network;
    this.postgres = parts.postgres;
    this.services = parts.services;
  }

  /** Chart values: the authority is trusted, and documents may name these endpoints. */
  get chartValues(): Readonly<Record<string, string>> {
    const endpoints = this.services.map(({ endpoint }) => endpoint);
    return { 'tunnels.caBundle': bundleName, allowedAwsEndpoints: `{${endpoints.join(',')}}` };
  }

  /** Puts the certificate that tunnels trust where the chart expects it. */
  async trustedIn(shop: Shop): Promise<void> {
    const certificate = readFileSync(new Authority(this.#directory).certificate(), 'utf8');
    await shop.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: bundleName, namespace: shop.namespace },
      data: { 'ca.crt': certificate },
    });
  }

  async stop(): Promise<void> {
    await this.#cluster.registerHostDns(serviceName, []);
    await Promise.all(this.services.map((service) => service.stop()));
    await this.postgres.stop();
    await this.network.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
