// An upgrade and a rollback of the operator while 100 PortForwards are edited: for a while policies and controller are of different
// releases and refuse each other, and no condition and no Event says so.
// Neighbours: own-controller.ts, cage-life.test.ts (one object at a time), test/unit/controller/reconcile.test.ts (the 120 s).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { portForwards, type StoredPortForward } from '../../../src/controller/base/portforward.ts';
import { kubeMetrics } from '../../../src/controller/kube/base/metrics.ts';
import { deployments } from '../../../src/controller/kube/base/resources.ts';
import { createKubeClient, type Kube } from '../../../src/controller/kube/rest/kube.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { createTransport, type KubeTransport } from '../../../src/controller/kube/rest/transport.ts';
import { silentLog } from '../../../src/process/log.ts';
import { createRegistry } from '../../../src/process/metrics.ts';
import { namespace, renderText } from './chart.ts';
import { type OwnController, startOwnController, until } from './own-controller.ts';

const tunnels = 100;
const values = ['tunnels.rolloutsPerMinute=100000', 'controller.writesPerSecond=1000'];
const stop = new AbortController();

let server: ApiServer;
let transport: KubeTransport;
let kube: Kube;
let running: OwnController[] = [];
/** Every sentence that a condition has had. */
const told = new Set<string>();
let watching: Promise<void>;

before(async () => {
  server = await startApiServer();
  for (const name of [namespace, 'shop', 'full']) await server.kubectl(['create', 'namespace', name]);
  transport = createTransport({
    config: loadKubeConfig({ file: server.kubeconfig }),
    userAgent: 'test',
    metrics: kubeMetrics(createRegistry()),
    log: silentLog(),
  });
  kube = createKubeClient(transport);
});
after(async () => {
  for (const each of running) await each.stop();
  stop.abort(new Error('the test is over'));
  await watching;
  await transport?.close();
  await server?.stop();
});

const name = (index: number): string => `db-${index}`;

async function write(index: number, replicas: number, where = 'shop'): Promise<void> {
  const spec = {
    replicas,
    ports: [{ port: 5432 + (replicas % 5) }],
    ssh: { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'bastion' } },
  };
  const object = { apiVersion, kind, metadata: { name: name(index), namespace: where }, spec };
  await kube.apply(portForwards, object, { signal: stop.signal, fieldManager: 'test' });
}

/** Edits one PortForward after the other until it is stopped; a few are new. */
class Editor {
  #stopped = false;
  #edits = 0;
  readonly #ended: Promise<void>;

  constructor(firstNew: number) {
    this.#ended = this.#edit(firstNew);
  }

  async #edit(firstNew: number): Promise<void> {
    for (let fresh = firstNew; !this.#stopped; this.#edits += 1) {
      const isNew = this.#edits % 10 === 0;
      await write(isNew ? fresh : this.#edits % tunnels, 1 + (this.#edits % 7));
      if (isNew) fresh += 1;
    }
  }

  /** Resolves when everything is written, with how many edits there were. */
  async end(): Promise<number> {
    this.#stopped = true;
    await this.#ended;
    return this.#edits;
  }
}

/** Remembers each condition of each version of each status. */
async function watch(): Promise<void> {
  let resourceVersion = '0';
  while (!stop.signal.aborted) {
    try {
      const stream = await kube.watch<StoredPortForward>(
        portForwards,
        { resourceVersion, timeoutSeconds: 300 },
        { signal: stop.signal },
      );
      for await (const event of stream) {
        const object = event.object as StoredPortForward;
        resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
        for (const { type, reason, message } of object.status?.conditions ?? [])
          told.add(`${type} ${reason}: ${message}`);
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  }
}

/** Every PortForward of `shop` is programmed as it is written, with pods of that release. */
async function untilProgrammed(release: string): Promise<void> {
  let missing: string[] = [];
  await until(
    `all are programmed by ${release}`,
    async () => {
      const query = { namespace: 'shop' };
      const items = await kube.list(portForwards, query, { signal: stop.signal });
      const images = new Map(
        (await kube.list(deployments, query, { signal: stop.signal })).items.map(({ metadata, spec }) => [
          metadata.name,
          spec?.template.spec?.containers[0]?.image,
        ]),
      );
      missing = items.items
        .filter(({ metadata, status }) => {
          const programmed = status?.conditions?.find(({ type }) => type === 'Programmed');
          const isWritten = programmed?.status === 'True' && programmed.observedGeneration === metadata.generation;
          return !isWritten || images.get(`pf-${metadata.name}`)?.endsWith(`:${release}`) !== true;
        })
        .map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status?.conditions?.slice(0, 2))}`);
      return items.items.length >= tunnels && missing.length === 0;
    },
    () => missing.slice(0, 3),
  );
}

async function start(manifest: string, podName: string): Promise<OwnController> {
  const controller = await startOwnController(server, { podName, manifest });
  running.push(controller);
  return controller;
}

async function end(controller: OwnController): Promise<void> {
  running = running.filter((each) => each !== controller);
  await controller.stop();
}

const apply = (manifest: string): Promise<string> =>
  server.kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], { input: manifest });

/** How often the API server refused a write of the controller. */
async function refusals(controller: OwnController): Promise<number> {
  const lines = await controller.series('rest_client_requests_total{code="403"');
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

test('upgrade and rollback while 100 PortForwards are edited and one is refused by quota: no Forbidden anywhere', async (t) => {
  const [one, two] = await Promise.all(['1.0.0', '2.0.0'].map((tag) => renderText([...values, `image.tag=${tag}`])));
  assert.ok(one !== undefined && two !== undefined);
  await apply(one);
  await server.untilServed('portforwards.portforward.dev');
  await fillNamespace();
  watching = watch();
  const first = await start(one, 'portforward-0');
  await first.leading;
  for (let index = 0; index < tunnels; index += 1) await write(index, 1);
  await write(0, 1, 'full');
  await untilProgrammed('1.0.0');
  const isTold = (text: string) => [...told].some((sentence) => sentence.includes(text));
  await until(
    'the quota is told',
    async () => isTold('Programmed QuotaExceeded'),
    () => [...told],
  );

  // Upgrade: the policies first, as where the new controller takes long to start.
  const before = await refusals(first);
  let editor = new Editor(tunnels);
  await apply(two);
  await until('the new policies refuse the old controller', async () => (await refusals(first)) > before + 5);
  const second = await start(two, 'portforward-1');
  await delay(1_000);
  await end(first);
  await second.leading;
  let edits = await editor.end();
  await untilProgrammed('2.0.0');

  // Rollback: the controller first, as where its policies come last.
  editor = new Editor(1_000);
  const third = await start(one, 'portforward-2');
  await end(second);
  await third.leading;
  await until('the newer policies refuse the older controller', async () => (await refusals(third)) > 5);
  await apply(one);
  edits += await editor.end();
  await untilProgrammed('1.0.0');
  t.diagnostic(
    `${edits} edits; refused by the policies of the other release: ${await refusals(third)} times in the rollback`,
  );

  const events = await server.kubectl(['get', 'events', '--all-namespaces', '--output', 'json']);
  assert.match(events, /QuotaExceeded/);
  for (const text of [...told, events]) assert.doesNotMatch(text, /Forbidden|ValidatingAdmissionPolicy/);
});

/** No Service fits into `full`. What the quota's controller would report is written by hand. */
async function fillNamespace(): Promise<void> {
  const hard = { services: '0' };
  const quota = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'none', namespace: 'full' },
    spec: { hard },
  };
  await server.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(quota) });
  const status = JSON.stringify({ status: { hard, used: hard } });
  await server.kubectl([
    '--namespace',
    'full',
    'patch',
    'resourcequota',
    'none',
    '--subresource=status',
    '--type=merge',
    '--patch',
    status,
  ]);
}
