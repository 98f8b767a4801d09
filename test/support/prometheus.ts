// A real Prometheus (Debian's package) that scrapes the pods of the test cluster by the chart's own monitors: the pods that a ServiceMonitor
// and a PodMonitor select become its targets, with the labels that the Prometheus operator gives them.
// Neighbours: test/cluster/monitoring.test.ts; lab/process/child.ts ends it with the test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeWhole } from '../../lab/base/whole-file.ts';
import { Child } from '../../lab/process/child.ts';
import { onFreePorts } from '../../lab/process/ports.ts';

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

/** What these tests read of the chart's monitors. */
export interface Monitor {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly namespaceSelector: { readonly matchNames?: readonly string[] };
    readonly podTargetLabels?: readonly string[];
    readonly endpoints?: readonly Endpoint[];
    readonly podMetricsEndpoints?: readonly Endpoint[];
  };
}

interface Endpoint {
  readonly port: string;
  readonly path: string;
}

export interface PrometheusOptions {
  readonly kubectl: (args: readonly string[]) => Promise<string>;
  readonly monitors: readonly Monitor[];
  /** The `spec` of a PrometheusRule. */
  readonly rules?: object;
}

export class Prometheus {
  readonly #child: Child;
  readonly #url: string;
  readonly #directory: string;
  readonly #options: PrometheusOptions;

  private constructor(child: Child, url: string, directory: string, options: PrometheusOptions) {
    this.#child = child;
    this.#url = url;
    this.#directory = directory;
    this.#options = options;
  }

  /** Resolves when it is ready; it scrapes and judges once a second. */
  static async start(options: PrometheusOptions): Promise<Prometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-prometheus-'));
    writeFileSync(join(directory, 'rules.yaml'), stringify(options.rules ?? { groups: [] }));
    writeFileSync(join(directory, 'prometheus.yaml'), stringify(configuration));
    try {
      await writeTargets(directory, options);
      return await onFreePorts(1, undefined, async ([port]) => {
        const address = `127.0.0.1:${port}`;
        const child = new Child('prometheus', 'prometheus', [
          `--config.file=${join(directory, 'prometheus.yaml')}`,
          `--storage.tsdb.path=${join(directory, 'data')}`,
          `--web.listen-address=${address}`,
          '--log.level=warn',
        ]);
        const ready = (): Promise<boolean> =>
          fetch(`http://${address}/-/ready`).then(
            (response) => response.ok,
            () => false,
          );
        try {
          await child.until(ready, 30_000);
        } catch (error) {
          await child.stop();
          throw error;
        }
        return new Prometheus(child, `http://${address}`, directory, options);
      });
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Looks again which pods there are; a change is noticed within a second. */
  discover(): Promise<void> {
    return writeTargets(this.#directory, this.#options);
  }

  /** The samples of an instant query. @throws Error with Prometheus' own words for a query that it refuses. */
  async query(expression: string): Promise<readonly Sample[]> {
    const { result } = await this.#get<{ result: readonly Sample[] }>('query', { query: expression });
    return result;
  }

  /** The names of the alerts that fire, with those of their labels that say what is meant. */
  async firing(): Promise<readonly Alert[]> {
    const { alerts } = await this.#get<{ alerts: readonly Alert[] }>('alerts');
    return alerts.filter(({ state }) => state === 'firing');
  }

  /** Which targets it has, and why one is down. */
  async targets(): Promise<string> {
    const { activeTargets } = await this.#get<{
      activeTargets: readonly { labels: object; health: string; lastError: string }[];
    }>('targets');
    return activeTargets
      .map(({ labels, health, lastError }) => `${JSON.stringify(labels)} ${health} ${lastError}`)
      .join('\n');
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #get<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string };
    if (status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${error}`);
    return data;
  }
}

async function writeTargets(directory: string, { kubectl, monitors }: PrometheusOptions): Promise<void> {
  const targets = await Promise.all(monitors.map((monitor) => targetsOf(kubectl, monitor)));
  writeWhole(join(directory, 'targets.json'), JSON.stringify(targets.flat()));
}

/** It reads the targets from a file: Debian's build has no discovery in Kubernetes. */
const configuration = {
  global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
  rule_files: ['rules.yaml'],
  scrape_configs: [{ job_name: 'pods', file_sd_configs: [{ files: ['targets.json'], refresh_interval: '1s' }] }],
};

interface Target {
  readonly targets: readonly [string];
  readonly labels: Readonly<Record<string, string>>;
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status: { readonly phase: string; readonly podIP?: string };
}

interface ServiceObject {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly selector: Readonly<Record<string, string>>;
    readonly ports: readonly { readonly name?: string; readonly targetPort: string }[];
  };
}

type Kubectl = PrometheusOptions['kubectl'];

async function list<T>(
  kubectl: Kubectl,
  kind: string,
  labels: Readonly<Record<string, string>>,
  names: readonly string[] | undefined,
): Promise<readonly T[]> {
  const selector = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const args = ['get', kind, '--selector', selector.join(','), '--output', 'json'];
  const places = names?.map((name) => ['--namespace', name]) ?? [['--all-namespaces']];
  const found = await Promise.all(places.map((place) => kubectl([...args, ...place])));
  return found.flatMap((text) => (JSON.parse(text) as { items: readonly T[] }).items);
}

async function targetsOf(kubectl: Kubectl, monitor: Monitor): Promise<readonly Target[]> {
  const { selector, namespaceSelector, endpoints, podMetricsEndpoints = [], podTargetLabels = [] } = monitor.spec;
  const names = namespaceSelector.matchNames;
  if (endpoints === undefined) {
    const pods = await list<PodObject>(kubectl, 'pods', selector.matchLabels, names);
    return pods.flatMap((pod) =>
      podMetricsEndpoints.flatMap(({ port, path }) =>
        scraped(pod, port, path, {
          job: `${pod.metadata.namespace}/${monitor.metadata.name}`,
          ...Object.fromEntries(podTargetLabels.map((label) => [sanitized(label), pod.metadata.labels?.[label] ?? ''])),
        }),
      ),
    );
  }
  const services = await list<ServiceObject>(kubectl, 'services', selector.matchLabels, names);
  const found = await Promise.all(
    services.map(async ({ metadata, spec }) => {
      const pods = await list<PodObject>(kubectl, 'pods', spec.selector, [metadata.namespace]);
      return endpoints.flatMap(({ port, path }) => {
        const targetPort = spec.ports.find(({ name }) => name === port)?.targetPort ?? '';
        return pods.flatMap((pod) => scraped(pod, targetPort, path, { job: metadata.name, service: metadata.name }));
      });
    }),
  );
  return found.flat();
}

const sanitized = (label: string): string => label.replaceAll(/[^a-zA-Z0-9_]/g, '_');

/** The pod's port of that name with the labels that the Prometheus operator gives it; none while it has no address or has ended. */
function scraped(
  { metadata, spec, status }: PodObject,
  portName: string,
  path: string,
  labels: Readonly<Record<string, string>>,
): Target[] {
  const { podIP } = status;
  if (podIP === undefined || ['Failed', 'Succeeded'].includes(status.phase)) return [];
  return spec.containers.flatMap(({ name: container, ports = [] }) =>
    ports
      .filter(({ name }) => name === portName)
      .map(({ containerPort }) => ({
        targets: [`${podIP}:${containerPort}`] as const,
        labels: { namespace: metadata.namespace, pod: metadata.name, container, ...labels, __metrics_path__: path },
      })),
  );
}
