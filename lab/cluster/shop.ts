// A tenant's namespace for one test: Pod Security `restricted`, a client pod with psql, Secrets and PortForwards, and waiting for
// what their status says.
// Neighbours: cluster.ts (the cluster), operator.ts (the installed chart), lab/private-network/network.ts (what tunnels lead to).
import { stringify } from 'yaml';
import { describeImage } from '../images/images.ts';
import { CommandFailed } from '../process/command.ts';
import type { Cluster } from './cluster.ts';
import type { KubectlOptions } from './kubectl.ts';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** What tests read of a PortForward on the wire. */
export interface StoredPortForward {
  readonly metadata: { readonly name: string; readonly generation: number; readonly uid: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly Condition[];
    readonly address?: string;
    readonly via?: string;
    readonly ports?: readonly { readonly name: string; readonly reachable?: boolean; readonly message?: string }[];
    readonly tunnels?: readonly {
      readonly pod: string;
      readonly state: string;
      readonly via?: string;
      readonly sessionId?: string;
      readonly transport?: string;
    }[];
  };
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly containerStatuses?: readonly { readonly restartCount: number; readonly ready: boolean }[];
  };
}

/** A namespace and what tests do in it; `delete` removes all. */
export class Shop {
  readonly namespace: string;
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.namespace = namespace;
  }

  /** Makes the namespace; one of that name that a killed run left behind is removed first. */
  static async create(cluster: Cluster, namespace: string): Promise<Shop> {
    const shop = new Shop(cluster, namespace);
    await shop.delete();
    await cluster.kubectl(['create', 'namespace', namespace]);
    const level = 'pod-security.kubernetes.io/enforce=restricted';
    await cluster.kubectl(['label', 'namespace', namespace, level]);
    // Pods are refused until their namespace's account exists.
    await shop.kubectl(['wait', '--for=create', 'serviceaccount/default', '--timeout=60s']);
    return shop;
  }

  /** `kubectl -n <namespace> …` */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string> {
    return this.#cluster.kubectl(['--namespace', this.namespace, ...args], options);
  }

  /** Applies documents as a user would. */
  async apply(...documents: readonly object[]): Promise<void> {
    await this.kubectl(['apply', '--filename', '-'], {
      input: documents.map((document) => stringify(document)).join('---\n'),
    });
  }

  /** Creates or replaces a Secret. */
  async secret(name: string, data: Readonly<Record<string, string>>): Promise<void> {
    await this.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: this.namespace },
      stringData: data,
    });
  }

  /** Creates or changes a PortForward. */
  async portForward(name: string, spec: object, metadata: object = {}): Promise<void> {
    await this.apply({ ...portForwardKind, metadata: { ...metadata, name, namespace: this.namespace }, spec });
  }

  async get(name: string): Promise<StoredPortForward> {
    return JSON.parse(await this.kubectl(['get', 'portforward', name, '--output', 'json'])) as StoredPortForward;
  }

  async condition(name: string, type: string): Promise<Condition | undefined> {
    return (await this.get(name)).status?.conditions?.find((condition) => condition.type === type);
  }

  /** Resolves with the seconds that it took until the condition has the status. @throws Error with the whole status otherwise. */
  async ready(name: string, timeoutSeconds = 60): Promise<number> {
    return this.#wait(name, ['--for=condition=Ready'], timeoutSeconds);
  }

  /** Resolves with the seconds that it took until that condition's reason is `reason`. @throws Error with the whole status otherwise. */
  async reason(name: string, type: string, reason: string, timeoutSeconds = 45): Promise<number> {
    const path = `{.status.conditions[?(@.type=="${type}")].reason}`;
    return this.#wait(name, [`--for=jsonpath=${path}=${reason}`], timeoutSeconds);
  }

  async #wait(name: string, condition: readonly string[], timeoutSeconds: number): Promise<number> {
    const started = performance.now();
    try {
      await this.kubectl(['wait', ...condition, `portforward/${name}`, `--timeout=${timeoutSeconds}s`]);
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      const stored = await this.kubectl(['get', 'portforward', name, '--output', 'yaml']);
      const pods = await this.kubectl(['get', 'pods', '--output', 'wide']);
      throw new Error(`${error.message}\n${stored}\n${pods}\n${await this.logs(name)}`, { cause: error });
    }
    return (performance.now() - started) / 1000;
  }

  /** The tunnel pods that are not being deleted. */
  async tunnelPods(name: string): Promise<readonly Pod[]> {
    const selector = `portforward.dev/name=${name}`;
    const { items } = JSON.parse(await this.kubectl(['get', 'pods', '--selector', selector, '--output', 'json'])) as {
      items: readonly Pod[];
    };
    return items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  }

  /** What the tunnel pods logged. */
  async logs(name: string): Promise<string> {
    return this.kubectl(['logs', '--selector', `portforward.dev/name=${name}`, '--tail=-1', '--prefix']).catch(String);
  }

  /** A pod with psql, redis-cli, nc and curl that sleeps until it is told what to do; or another image that has `sleep`. */
  async client(name = 'client', image = describeImage('client').reference): Promise<void> {
    await this.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: this.namespace },
      spec: {
        terminationGracePeriodSeconds: 0,
        securityContext: { runAsNonRoot: true, runAsUser: 65534, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'client',
            image,
            command: ['sleep', 'infinity'],
            imagePullPolicy: 'Never',
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    });
    await this.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']);
  }

  /** Runs a program in the client pod. Default limit: two minutes. */
  exec(
    args: readonly string[],
    options: { readonly input?: string; readonly pod?: string; readonly timeoutMs?: number } = {},
  ): Promise<string> {
    const { pod = 'client', ...given } = options;
    const stdin = given.input === undefined ? [] : ['--stdin'];
    return this.kubectl(['exec', ...stdin, pod, '--', ...args], given);
  }

  /** psql in the client pod: what the query printed, unaligned. */
  psql(
    host: string,
    query: string,
    options: { readonly port?: number; readonly timeoutSeconds?: number } = {},
  ): Promise<string> {
    const { port = 5432, timeoutSeconds = 10 } = options;
    const target = `host=${host} port=${port} user=orders dbname=orders password=correct-horse connect_timeout=${timeoutSeconds}`;
    return this.exec(['psql', '--no-psqlrc', '-At', '-c', query, target]);
  }

  /** `wait: false`: what is in it goes in the background. */
  async delete({ wait = true } = {}): Promise<void> {
    const until = wait ? '--timeout=120s' : '--wait=false';
    await this.#cluster.kubectl(['delete', 'namespace', this.namespace, '--ignore-not-found', until]);
  }
}

const portForwardKind = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward' } as const;
