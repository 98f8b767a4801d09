import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import { type ServiceAccount, serviceAccounts } from '../../../src/controller/kube/base/resources.ts';
import { type Change, Reflector, type ReflectorOptions } from '../../../src/controller/kube/cache/reflector.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { clientOf, until } from '../../unit/controller/kube/scripted-server.ts';
import { type RealApi, startRealApi } from './real-api.ts';

const { signal } = new AbortController();
const timeout = 90_000;

let api: RealApi;
before(
  async () => {
    api = await startRealApi();
  },
  { timeout: 600_000 },
);
after(async () => await api[Symbol.asyncDispose]());

const account = (namespace: string, name: string): ServiceAccount => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { namespace, name, labels: { test: 'yes' } },
});

function reflected(namespace: string, options: Partial<ReflectorOptions<ServiceAccount>> = {}) {
  const client = api.admin;
  const reflector = new Reflector<ServiceAccount>({
    kube: client.kube,
    resource: serviceAccounts,
    namespace,
    labelSelector: 'test=yes',
    metrics: client.metrics,
    log: client.log,
    ...options,
  });
  const changes: Change<ServiceAccount>[] = [];
  reflector.onChange((change) => changes.push(change));
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  return {
    reflector,
    told: () => changes.map(({ type, key, initial }) => `${type} ${key.split('/')[1]}${initial ? ' initial' : ''}`),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

const requestsOf = async (pattern: RegExp): Promise<number> => {
  let sum = 0;
  for (const line of (await api.admin.registry.metrics()).split('\n')) {
    if (pattern.test(line)) sum += Number(line.split(' ').at(-1));
  }
  return sum;
};

test('a real WatchList fills the cache by one request and goes on as the watch', { timeout }, async () => {
  const namespace = await api.namespace();
  for (const name of ['a', 'b']) await api.admin.kube.create(serviceAccounts, account(namespace, name), { signal });
  const [lists, watches] = [await requestsOf(/^reflector_lists_total/), await requestsOf(/^reflector_watches_total/)];
  await using it = reflected(namespace);
  await it.reflector.waitForSync(signal, 30_000);
  assert.deepEqual(it.told().toSorted(), ['added a initial', 'added b initial']);
  await api.admin.kube.mergePatch(
    serviceAccounts,
    { namespace, name: 'a' },
    { metadata: { labels: { more: 'x' } } },
    { signal },
  );
  await api.admin.kube.delete(serviceAccounts, { namespace, name: 'b' }, { signal });
  await until(() => it.told().length === 4);
  assert.deepEqual(it.told().slice(2), ['updated a', 'deleted b']);
  assert.equal(await requestsOf(/^reflector_lists_total/), lists + 1);
  assert.equal(await requestsOf(/^reflector_watches_total/), watches + 1);
  const object = it.reflector.store.get(`${namespace}/a`);
  assert.deepEqual(
    [object?.kind, object?.apiVersion, object?.metadata.managedFields],
    ['ServiceAccount', 'v1', undefined],
  );
});

test('an object that leaves the selection is deleted from the cache', { timeout }, async () => {
  const namespace = await api.namespace();
  await api.admin.kube.create(serviceAccounts, account(namespace, 'a'), { signal });
  await using it = reflected(namespace);
  await it.reflector.waitForSync(signal, 30_000);
  await api.admin.kube.mergePatch(
    serviceAccounts,
    { namespace, name: 'a' },
    { metadata: { labels: { test: null } } },
    { signal },
  );
  await until(() => it.told().includes('deleted a'));
  assert.equal(it.reflector.store.size, 0);
});

test('a restart of the API server is followed without losing a change or reading the cache empty', {
  timeout,
}, async () => {
  const namespace = await api.namespace();
  await api.admin.kube.create(serviceAccounts, account(namespace, 'a'), { signal });
  await using it = reflected(namespace);
  await it.reflector.waitForSync(signal, 30_000);
  await api.server.restart();
  assert.equal(it.reflector.store.size, 1);
  await api.admin.kube.create(serviceAccounts, account(namespace, 'b'), { signal });
  await api.admin.kube.delete(serviceAccounts, { namespace, name: 'a' }, { signal });
  await eventually('both are told', () => it.told().includes('deleted a') && it.told().includes('added b'), 40_000);
  assert.deepEqual([...it.reflector.store.keys()], [`${namespace}/b`]);
});

test('an API server that froze is noticed by its silence, and what happened is made up for', { timeout }, async () => {
  const namespace = await api.namespace();
  await using freezer = await freezable(new URL(api.server.url));
  const config = loadKubeConfig({ file: api.server.kubeconfig });
  config.clusters = config.clusters.map((one) => ({
    ...one,
    server: freezer.url,
    skipTLSVerify: true,
  }));
  await using client = clientOf(config);
  await using it = reflected(namespace, { kube: client.kube, idleMs: 3_000 });
  await it.reflector.waitForSync(signal, 30_000);
  freezer.freeze();
  await api.admin.kube.create(serviceAccounts, account(namespace, 'late'), { signal });
  await eventually('the late one is told', () => it.told().includes('added late'), 30_000);
});

test('large objects and thousands of them arrive whole, by WatchList and by pages', { timeout }, async () => {
  const namespace = await api.namespace();
  const filler = 'ü'.repeat(60_000);
  const create = (i: number): Promise<KubeObject> => {
    const object = account(namespace, `a${i}`);
    const annotations = i % 100 === 0 ? { filler } : {};
    return api.admin.kube.create(
      serviceAccounts,
      { ...object, metadata: { ...object.metadata, annotations } },
      { signal },
    );
  };
  const all = Array.from({ length: 1_200 }, (_, i) => i);
  while (all.length > 0) await Promise.all(all.splice(0, 50).map(create));
  await using byWatch = reflected(namespace);
  await byWatch.reflector.waitForSync(signal, 30_000);
  assert.equal(byWatch.reflector.store.size, 1_200);
  assert.equal(byWatch.reflector.store.get(`${namespace}/a100`)?.metadata.annotations?.['filler'], filler);
  const requests: number[] = [];
  // The same reflector against a server that has no WatchList: every such watch fails.
  const { kube } = api.admin;
  await using byList = reflected(namespace, {
    kube: {
      ...listing(kube, requests),
      watch: async (resource, query, call) => {
        if (query.sendInitialEvents === true) throw new Error('no WatchList here');
        return await kube.watch(resource, query, call);
      },
    },
  });
  await byList.reflector.waitForSync(signal, 30_000);
  assert.deepEqual(requests, [500, 500, 200]);
  assert.deepEqual(new Set(byList.reflector.store.keys()), new Set(byWatch.reflector.store.keys()));
});

function listing(kube: typeof api.admin.kube, sizes: number[]): typeof api.admin.kube {
  return {
    get: kube.get.bind(kube),
    create: kube.create.bind(kube),
    replace: kube.replace.bind(kube),
    apply: kube.apply.bind(kube),
    applyStatus: kube.applyStatus.bind(kube),
    mergePatch: kube.mergePatch.bind(kube),
    delete: kube.delete.bind(kube),
    watch: kube.watch.bind(kube),
    list: async (resource, query, call) => {
      const page = await kube.list(resource, query, call);
      sizes.push(page.items.length);
      return page;
    },
  };
}

/** A way to a server whose present connections can be frozen: they stay open and carry nothing; new ones work. */
async function freezable(target: URL): Promise<{ url: string; freeze: () => void } & AsyncDisposable> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((socket) => {
    const upstream = connect(Number(target.port), target.hostname);
    const pair = [socket, upstream] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      for (const one of pair) one.destroy();
    };
    for (const one of pair) one.on('error', end).on('close', end);
    socket.pipe(upstream).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return {
    url: `https://127.0.0.1:${address.port}`,
    freeze: () => {
      for (const pair of pairs) for (const one of pair) one.unpipe().pause();
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const pair of pairs) for (const one of pair) one.destroy();
    },
  };
}
