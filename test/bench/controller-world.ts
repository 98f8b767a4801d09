// What the controller works on in its benchmark: a real API server, scheduler and controller-manager, nodes and pods by kwok, and one stub that
// answers for all pods.
// Neighbours: controller.ts measures, controller-process.ts is what is measured.
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { cachedProgram } from '../../lab/base/places.ts';
import { type ApiServer, startApiServer } from '../../lab/cluster/api-server.ts';
import { Child } from '../../lab/process/child.ts';
import { command } from '../../lab/process/command.ts';
import { ensurePrograms } from '../../lab/programs/programs.ts';
import { group, version } from '../../src/contract/api/names.ts';
import { portForwards, type StoredPortForward } from '../../src/controller/base/portforward.ts';
import { kubeMetrics } from '../../src/controller/kube/base/metrics.ts';
import type { KubeObject, Resource } from '../../src/controller/kube/base/object.ts';
import { createKubeClient, type Kube } from '../../src/controller/kube/rest/kube.ts';
import { loadKubeConfig } from '../../src/controller/kube/rest/kube-config.ts';
import { createTransport } from '../../src/controller/kube/rest/transport.ts';
import { silentLog } from '../../src/process/log.ts';
import { createRegistry } from '../../src/process/metrics.ts';
import { goProgram } from '../support/go-program.ts';
import { DeploymentWatch } from './deployment-watch.ts';
import { portOf, startScript } from './run.ts';

/** Routed to this machine: room for four million pods. */
const podRange = '10.64.0.0/10';
const podsPerNode = 1_000;
const replicas = 2;
const atOnce = 16;
/** Kubernetes' own controllers compare each pod with every Service and budget of its namespace: with all in one we would measure them. */
const perNamespace = 100;

/** What the peers of the controller may ask the API server, so that it is measured and not they. */
const clientRates = ['--kube-api-qps=2000', '--kube-api-burst=4000'];

/** Those whose work the controller sees. Nothing is deleted here that others would have to follow. */
const controllers = [
  'deployment-controller',
  'replicaset-controller',
  'endpointslice-controller',
  'disruption-controller',
];

const namespaces: Resource = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false };
const nodes: Resource = { group: '', version: 'v1', kind: 'Node', plural: 'nodes', namespaced: false };

const kwok = { name: 'kwok', directory: join(import.meta.dirname, 'kwok'), package: 'sigs.k8s.io/kwok/cmd/kwok' };

/** Fetches and builds what the world needs, while there is a network. */
export async function buildWorld(): Promise<void> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  await ensurePrograms(['etcd', 'kube-apiserver', 'kubectl', 'kube-controller-manager', 'kube-scheduler'], { log });
  await goProgram(kwok);
}

export class ControllerWorld {
  readonly server: ApiServer;
  readonly kube: Kube;
  readonly deployments: DeploymentWatch;
  readonly #endings: (() => Promise<unknown>)[] = [];

  private constructor(server: ApiServer, kube: Kube) {
    this.server = server;
    this.kube = kube;
    this.deployments = new DeploymentWatch(kube);
    this.#endings.push(async () => this.deployments.stop());
  }

  static async start(count: number): Promise<ControllerWorld> {
    // For the programs in Go, which have the memory and need the processors: they collect garbage less often.
    process.env['GOGC'] ??= '300';
    process.env['GOMEMLIMIT'] ??= `${Math.floor(totalmem() / 3 / 1024 ** 2)}MiB`;
    await command('ip', ['route', 'add', 'local', podRange, 'dev', 'lo']);
    const server = await startApiServer({
      // Kubernetes' own Events are most of what is written otherwise, and kept for an hour.
      arguments: ['--max-requests-inflight=3000', '--max-mutating-requests-inflight=1000', '--event-ttl=5m'],
    });
    const transport = createTransport({
      config: loadKubeConfig({ file: server.kubeconfig }),
      userAgent: 'bench',
      metrics: kubeMetrics(createRegistry()),
      log: silentLog(),
    });
    const world = new ControllerWorld(server, createKubeClient(transport));
    world.#endings.push(
      () => server.stop(),
      () => transport.close(),
    );
    try {
      await world.#fill(count);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #fill(count: number): Promise<void> {
    const { server } = this;
    await server.kubectl(['apply', '--server-side', '-f', join(import.meta.dirname, '../../crds/portforward.yaml')]);
    await server.untilServed('portforwards.portforward.dev');
    await inParallel(Math.ceil(count / perNamespace), async (index) => {
      await this.kube.create(
        namespaces,
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(index * perNamespace) } },
        patiently,
      );
    });
    await server.kubectl(['create', 'namespace', 'operator']);
    const stub = startScript(new URL('pod-stub.ts', import.meta.url));
    this.#endings.push(() => stub.kill());
    await portOf(stub);
    const kubeconfig = `--kubeconfig=${server.kubeconfig}`;
    const client = [kubeconfig, '--leader-elect=false', '--secure-port=0', ...clientRates];
    this.#child('kube-scheduler', cachedProgram('kube-scheduler'), client);
    this.#child('kube-controller-manager', cachedProgram('kube-controller-manager'), [
      ...client,
      `--controllers=${controllers.join(',')}`,
      '--concurrent-deployment-syncs=20',
      '--concurrent-replicaset-syncs=20',
      '--concurrent-service-endpoint-syncs=20',
      // Addresses of one Service that come within a second are one write.
      '--endpointslice-updates-batch-period=1s',
    ]);
    this.#child('kwok', await goProgram(kwok), [
      kubeconfig,
      '--manage-all-nodes=true',
      `--cidr=${podRange}`,
      `--config=${join(kwok.directory, 'stages.yaml')}`,
    ]);
    const most = Math.max(3, Math.ceil((1.5 * replicas * count) / podsPerNode));
    await inParallel(most, async (index) => {
      const node = nodeOf(index);
      await this.kube.create(nodes, node, patiently);
      // Kubernetes' own controller of nodes, which is not here, would take the taint of a new node away.
      await this.kube.mergePatch(nodes, node.metadata, { spec: { taints: null } }, patiently);
    });
    await server.kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=120s']);
  }

  #child(name: string, program: string, args: readonly string[]): void {
    const child = new Child(name, program, args);
    this.#endings.push(() => child.kill());
  }

  /** Creates all PortForwards. */
  async create(count: number): Promise<void> {
    await inParallel(count, (index) => this.kube.create(portForwards, documentOf(index), patiently));
  }

  /** Changes a port's destination, and waits until the Deployment has it. In milliseconds. */
  async change(index: number, destinationPort: number): Promise<{ readonly editMs: number; readonly ms: number }> {
    const started = performance.now();
    const ports = [{ ...documentOf(index).spec.ports[0], destinationPort }];
    const { metadata } = await this.edit(index, { ports });
    const editMs = performance.now() - started;
    await this.deployments.madeFrom(deploymentOf(index), metadata.generation ?? 0);
    return { editMs, ms: performance.now() - started };
  }

  /** Resolves when its pods are those of the present template. */
  async rolledOut(index: number): Promise<void> {
    await this.deployments.rolledOut(deploymentOf(index));
  }

  async edit(index: number, spec: object): Promise<StoredPortForward> {
    const name = { namespace: namespaceOf(index), name: nameOf(index) };
    const edit = (): Promise<StoredPortForward> =>
      this.kube.mergePatch<StoredPortForward>(portForwards, name, { spec }, patiently);
    // A server that cannot even be reached for a minute: once more.
    return await edit().catch(edit);
  }

  /** Edits that many, so that each Deployment changes. */
  async storm(count: number): Promise<void> {
    const maxConnections = 500 + Math.floor(Math.random() * 400);
    await inParallel(count, (index) => this.edit(index, { connection: { maxConnections } }));
  }

  /** Applies that the server has answered, by what was applied: nobody but the controller applies. */
  async applies(): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const line of (await this.server.kubectl(['get', '--raw', '/metrics'])).split('\n')) {
      if (!line.startsWith('apiserver_request_total{') || !line.includes('verb="APPLY"')) continue;
      const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? '';
      const what = [label('resource'), label('subresource'), label('code').replace(/^20[01]$/, '')];
      const name = what.filter((part) => part !== '').join('/');
      found.set(name, (found.get(name) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
    }
    return found;
  }

  async stop(): Promise<void> {
    for (const end of this.#endings.reverse()) await end();
  }
}

/** A server that is busy is measured, and ends no run. */
const patiently = { signal: new AbortController().signal, deadlineMs: 60_000 };

async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const namespaceOf = (index: number): string => `bench-${Math.floor(index / perNamespace)}`;
const nameOf = (index: number): string => `orders-db-${index}`;
const deploymentOf = (index: number): string => `pf-${nameOf(index)}`;

function nodeOf(index: number): KubeObject {
  const capacity = { cpu: '10000', memory: '100Ti', pods: String(podsPerNode) };
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `kwok-${index}`, labels: { 'kubernetes.io/hostname': `kwok-${index}` } },
    status: { capacity, allocatable: capacity },
  };
  return node;
}

const documentOf = (index: number) => ({
  apiVersion: `${group}/${version}`,
  kind: 'PortForward',
  metadata: { namespace: namespaceOf(index), name: nameOf(index) },
  spec: {
    replicas,
    ports: [
      { port: 5432, name: 'postgres', destinationHost: `orders-${index}.db.internal`, appProtocol: 'postgresql' },
    ],
    ssh: {
      user: 'tunnel',
      bastions: [{ host: 'bastion-a.example.com' }, { host: 'bastion-b.example.com' }],
      secretRef: { name: 'orders-bastion' },
      knownHosts:
        'bastion-a.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3jZJW6V6rYyV8sNfHIYnE3nRWcHnLyPhAIKc1mnvsE\n',
    },
  },
});
