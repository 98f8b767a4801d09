// A real API server with the CRD, a controller in this process, and tunnel pods that exist only as API objects with a /statusz server on
// loopback behind each. There is no kubelet and no controller-manager: the test says what they would say.
// Neighbours: the tests of this folder; lab/cluster/api-server.ts starts the server.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { group, version } from '../../../src/contract/api/names.ts';
import type { Condition, PortForwardStatus } from '../../../src/contract/api/status.ts';
import type { TunnelStatus } from '../../../src/contract/tunnel-status.ts';
import { portForwards, type StoredPortForward } from '../../../src/controller/base/portforward.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { templateOf } from '../../../src/controller/children/deployment.ts';
import { childName, nameLabel, templateAnnotation } from '../../../src/controller/children/names.ts';
import { kubeMetrics } from '../../../src/controller/kube/base/metrics.ts';
import {
  type KubeObject,
  type OwnerReference,
  ownedBy,
  type Resource,
} from '../../../src/controller/kube/base/object.ts';
import {
  type Deployment,
  deployments,
  type Pod,
  pods,
  type ReplicaSet,
  replicaSets,
  services,
} from '../../../src/controller/kube/base/resources.ts';
import { LeadershipLost } from '../../../src/controller/kube/leaderelection/elector.ts';
import { createKubeClient, type Kube } from '../../../src/controller/kube/rest/kube.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { createTransport } from '../../../src/controller/kube/rest/transport.ts';
import { runController, type TestOverrides } from '../../../src/controller/main.ts';
import { silentLog } from '../../../src/process/log.ts';
import { createRegistry } from '../../../src/process/metrics.ts';

const crdFile = join(import.meta.dirname, '../../../crds/portforward.yaml');
const limitMs = 60_000;

export interface Request {
  readonly method: string;
  readonly path: string;
}

export interface RunningController {
  /** Every request to the API server so far, the Lease's aside. */
  readonly requests: readonly Request[];
  /** Those that write. */
  writes(): readonly Request[];
  readonly adminPort: number;
  /** Resolves when it has ended: undefined if it was asked to, else the error. */
  readonly ended: Promise<unknown>;
  readonly stop: () => Promise<void>;
}

/** A controller that is started again when it has lost its lease, as a kubelet does. */
export interface KeptController {
  /** How often it lost its lease. */
  readonly losses: () => number;
  stop(): Promise<void>;
}

export class World implements AsyncDisposable {
  readonly server: ApiServer;
  /** With every right. */
  readonly kube: Kube;
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #origins = new Map<string, string>();
  #count = 0;

  private constructor(server: ApiServer, kube: Kube) {
    this.server = server;
    this.kube = kube;
  }

  static async start(): Promise<World> {
    const server = await startApiServer();
    try {
      const transport = createTransport({
        config: loadKubeConfig({ file: server.kubeconfig }),
        userAgent: 'test',
        metrics: kubeMetrics(createRegistry()),
        log: silentLog(),
      });
      await server.kubectl(['apply', '--server-side', '-f', crdFile]);
      await server.untilServed('portforwards.portforward.dev');
      await server.kubectl(['create', 'namespace', 'operator']);
      const world = new World(server, createKubeClient(transport));
      world.#closing.push(() => transport.close());
      return world;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await this.server.stop();
  }

  /** A namespace of the test's own. */
  async namespace(): Promise<string> {
    this.#count += 1;
    const name = `test-${this.#count}`;
    await this.server.kubectl(['create', 'namespace', name]);
    return name;
  }

  /** Starts a controller and resolves once it leads. */
  async controller(flags: readonly string[] = [], more: Partial<TestOverrides> = {}): Promise<RunningController> {
    const stop = new AbortController();
    const requests: Request[] = [];
    const leading = Promise.withResolvers<Parameters<NonNullable<TestOverrides['onLeading']>>[0]>();
    const settings = readSettings(
      ['--tunnel-image=registry.example/portforward:test', '--operator-namespace=operator', '--admin-port=0', ...flags],
      {},
    );
    const overrides: TestOverrides = {
      kubeConfig: loadKubeConfig({ file: this.server.kubeconfig }),
      originOf: (pod) => this.#origins.get(pod.metadata.name) ?? 'http://127.0.0.1:9',
      readerTimings: {
        changedMs: 20,
        notReadyMs: 200,
        longNotReadyMs: 1_000,
        longMs: 60_000,
        readyMs: 400,
        readsPerSecond: 300,
        deadlineMs: 2_000,
      },
      statusPauses: { startMs: 50, detailsMs: 100, wordingMs: 200 },
      onRequest: (request) => {
        if (!request.path.includes('/leases')) requests.push(request);
      },
      onLeading: leading.resolve,
      ...more,
    };
    const running = runController({ signal: stop.signal, settings, log: silentLog(), overrides });
    running.catch(leading.reject);
    const ended = running.then(
      () => undefined,
      (error: unknown) => error,
    );
    const { adminPort } = await leading.promise;
    let stopped = false;
    const end = async (): Promise<void> => {
      if (stopped) return;
      stopped = true;
      stop.abort(new Error('the test is over'));
      await running;
    };
    this.#closing.push(end);
    return {
      requests,
      writes: () => requests.filter(({ method }) => method !== 'GET'),
      adminPort,
      ended,
      stop: end,
    };
  }

  /** Resolves once it leads. For API servers that may be away for longer than the 10 s in which a leader must renew its lease. */
  async keptController(flags: readonly string[] = [], more: Partial<TestOverrides> = {}): Promise<KeptController> {
    let isOver = false;
    let losses = 0;
    let now = this.controller(flags, more);
    await now;
    const keeping = (async () => {
      for (;;) {
        const { ended, stop } = await now;
        if (!((await ended) instanceof LeadershipLost)) return;
        this.#closing.splice(this.#closing.indexOf(stop), 1);
        losses += 1;
        if (isOver) return;
        now = this.controller(flags, more);
      }
    })();
    keeping.catch(() => undefined);
    return {
      losses: () => losses,
      stop: async () => {
        isOver = true;
        const { stop } = await now;
        await stop().catch((error: unknown) => {
          if (!(error instanceof LeadershipLost)) throw error;
        });
        await keeping;
      },
    };
  }

  /** Creates or edits a PortForward. */
  async apply(namespace: string, name: string, spec: object, annotations: Record<string, string> = {}): Promise<void> {
    const object = {
      apiVersion: `${group}/${version}`,
      kind: 'PortForward',
      metadata: { namespace, name, annotations },
      spec,
    };
    await this.kube.apply(portForwards, object, { signal: limit(), fieldManager: 'test' });
  }

  async get<T extends KubeObject>(resource: Resource<T>, namespace: string, name: string): Promise<T | undefined> {
    return this.kube.get(resource, { namespace, name }, { signal: limit() });
  }

  async list<T extends KubeObject>(resource: Resource<T>, namespace: string): Promise<T[]> {
    return (await this.kube.list(resource, { namespace }, { signal: limit() })).items;
  }

  async delete(resource: Resource, namespace: string, name: string): Promise<void> {
    assert.ok(await this.kube.delete(resource, { namespace, name }, { signal: limit() }));
  }

  async status(namespace: string, name: string): Promise<PortForwardStatus> {
    const stored = await this.get<StoredPortForward>(portForwards, namespace, name);
    return stored?.status ?? {};
  }

  /** Waits for a condition, and gives the status that has it. */
  async condition(
    namespace: string,
    name: string,
    type: string,
    wanted: { readonly status?: string; readonly reason?: string },
  ): Promise<Condition> {
    return this.until(`${type} of ${name} is ${JSON.stringify(wanted)}`, async () => {
      const status = await this.status(namespace, name);
      const condition = status.conditions?.find((each) => each.type === type);
      const fits =
        condition !== undefined &&
        (wanted.status === undefined || condition.status === wanted.status) &&
        (wanted.reason === undefined || condition.reason === wanted.reason);
      return fits ? condition : new Unmet(status);
    });
  }

  /** Asks until the answer is neither undefined, false nor Unmet; fails after a minute with what was seen last. */
  async until<T>(what: string, ask: () => Promise<T | undefined | false | Unmet>): Promise<T> {
    const end = Date.now() + limitMs;
    for (;;) {
      const answer = await ask();
      if (answer !== undefined && answer !== false && !(answer instanceof Unmet)) return answer;
      if (Date.now() > end) {
        const seen = answer instanceof Unmet ? `; seen: ${JSON.stringify(answer.seen, null, 2)}` : '';
        assert.fail(`not within ${limitMs} ms: ${what}${seen}`);
      }
      await delay(25);
    }
  }

  /** Resolves when the controller has had nothing to do for a while. */
  async quiet(controller: RunningController): Promise<void> {
    let since = Date.now();
    let seen = controller.requests.length;
    await this.until('the controller is quiet', async () => {
      if (!(await isIdle(controller)) || controller.requests.length !== seen) {
        since = Date.now();
        seen = controller.requests.length;
      }
      return Date.now() - since > 1_500;
    });
  }

  /** What the Deployment's controller and the kubelet would do: one pod of the present template, whose /statusz answers as told. */
  async pod(
    namespace: string,
    portForward: string,
    name: string,
    ready = true,
    answer: FakePod['answer'] = connectedStatus(),
  ): Promise<FakePod> {
    const deployment = await this.until('the Deployment exists', () =>
      this.get(deployments, namespace, childName({ metadata: { name: portForward } })),
    );
    const template = templateOf(deployment) ?? '';
    const spec = deployment.spec?.template.spec;
    assert.ok(spec);
    const owner = await this.replicaSet(namespace, portForward, deployment);
    const pod = await FakePod.create(this.kube, { namespace, name, portForward, template, spec, owner });
    pod.answer = answer;
    this.reach(pod);
    await pod.setReady(ready);
    return pod;
  }

  /** Lets controllers reach its admin port, and closes it with the world. */
  reach(pod: FakePod): void {
    this.#origins.set(pod.name, pod.origin);
    this.#closing.push(() => pod.close());
  }

  /** What the Deployment's controller would make: one ReplicaSet of all pods; as their owner. */
  async replicaSet(
    namespace: string,
    portForward: string,
    { metadata, spec }: Deployment,
    name = `pf-${portForward}-abc`,
  ): Promise<OwnerReference> {
    const found = await this.get(replicaSets, namespace, name);
    if (found !== undefined) return ownedBy(found);
    assert.ok(spec);
    const object = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name,
        namespace,
        labels: spec.template.metadata?.labels ?? {},
        ownerReferences: [ownedBy({ apiVersion: 'apps/v1', kind: 'Deployment', metadata })],
      },
      spec: { selector: spec.selector, template: spec.template },
    };
    return ownedBy(await this.kube.create<ReplicaSet>(replicaSets, object, { signal: limit() }));
  }

  /** What the Deployment's controller would report. */
  async rolledOut(namespace: string, portForward: string, replicas: number, more: object = {}): Promise<void> {
    const name = `pf-${portForward}`;
    const live = await this.get(deployments, namespace, name);
    assert.ok(live);
    const status = {
      observedGeneration: live.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
      ...more,
    };
    await this.server.kubectl([
      'patch',
      'deployment',
      name,
      '-n',
      namespace,
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    ]);
  }

  async service(namespace: string, name: string) {
    return this.get(services, namespace, name);
  }
}

/** An answer that does not do yet, kept for the failure's message. */
export class Unmet {
  readonly seen: unknown;

  constructor(seen: unknown) {
    this.seen = seen;
  }
}

export const limit = (): AbortSignal => AbortSignal.timeout(limitMs);

/** A pod that only the API server knows of. */
export class FakePod {
  readonly name: string;
  readonly namespace: string;
  readonly #kube: Kube;
  readonly #server: Server;
  /** What /statusz answers; a number is an HTTP status. */
  answer: TunnelStatus | number;
  reads = 0;

  private constructor(kube: Kube, namespace: string, name: string) {
    this.#kube = kube;
    this.namespace = namespace;
    this.name = name;
    this.answer = connectedStatus();
    this.#server = createServer((request, response) => {
      this.reads += 1;
      const { answer } = this;
      if (request.url !== '/statusz' || typeof answer === 'number') {
        response.writeHead(typeof answer === 'number' ? answer : 404).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  }

  static async create(
    kube: Kube,
    options: {
      readonly namespace: string;
      readonly name: string;
      readonly portForward: string;
      readonly template: string;
      readonly spec: NonNullable<Pod['spec']>;
      readonly owner: OwnerReference;
    },
  ): Promise<FakePod> {
    const { namespace, name, portForward, template, spec, owner } = options;
    const pod = new FakePod(kube, namespace, name);
    pod.#server.listen(0, '127.0.0.1');
    await once(pod.#server, 'listening');
    await kube.create<Pod>(
      pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name,
          namespace,
          labels: { 'app.kubernetes.io/managed-by': 'portforward-operator', [nameLabel]: portForward },
          annotations: { [templateAnnotation]: template },
          ownerReferences: [owner],
        },
        spec,
      },
      { signal: limit() },
    );
    return pod;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async setReady(ready: boolean): Promise<void> {
    await this.setStatus({
      phase: 'Running',
      podIP: '127.0.0.1',
      podIPs: [{ ip: '127.0.0.1' }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: [
        {
          name: 'tunnel',
          image: 'registry.example/portforward:test',
          imageID: '',
          ready,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: '2026-01-02T03:04:05Z' } },
        },
      ],
    });
  }

  async setStatus(status: Record<string, unknown>): Promise<void> {
    const live = await this.#kube.get(pods, this, { signal: limit() });
    assert.ok(live);
    const { name, namespace, resourceVersion } = live.metadata;
    const metadata = { name, ...(namespace && { namespace }), ...(resourceVersion && { resourceVersion }) };
    const body = { apiVersion: 'v1', kind: 'Pod', metadata, status };
    await this.#kube.applyStatus(pods, body, { signal: limit(), fieldManager: 'kubelet' });
  }

  /** Gone at once, as after its grace period. */
  async remove(): Promise<void> {
    await this.#kube.delete(pods, this, { signal: limit() });
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** By its own series: no key is ready and no worker has one. */
async function isIdle({ adminPort }: RunningController): Promise<boolean> {
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`, { signal: limit() })).text();
  const counts = [...page.matchAll(/^(?:workqueue_depth|controller_runtime_active_workers)\{.*\} (\d+)$/gm)];
  assert.equal(counts.length, 3, 'two priorities and the workers');
  return counts.every(([, count]) => count === '0');
}

/** A tunnel that carries everything. */
export function connectedStatus(more: Partial<TunnelStatus> = {}): TunnelStatus {
  return {
    version: 1,
    state: 'Connected',
    since: '2026-01-02T03:04:05Z',
    via: 'bastion.example.com:22',
    hostKeyFingerprint: 'SHA256:abc',
    ports: [{ name: 'postgres', reachable: true }],
    ...more,
  };
}

/** A tunnel that cannot reach its bastion. */
export function failedStatus(reason: string, message: string): TunnelStatus {
  return {
    version: 1,
    state: 'Failed',
    since: '2026-01-02T03:04:05Z',
    reason,
    message,
    ports: [{ name: 'postgres', reachable: null }],
  };
}

/** The spec of the README's example, one pod. */
export const ordersDb = (more: object = {}) => ({
  replicas: 1,
  ports: [{ port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
  ssh: { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'orders-bastion' } },
  ...more,
});
