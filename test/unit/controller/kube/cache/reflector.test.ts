import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../../../../../src/controller/kube/base/object.ts';
import { type Pod, pods } from '../../../../../src/controller/kube/base/resources.ts';
import { Reflector, type ReflectorOptions } from '../../../../../src/controller/kube/cache/reflector.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { type Asked, clientOf, configOf, impatientClock, ScriptedServer, until } from '../scripted-server.ts';

const timeout = 60_000;

const pod = (name: string, resourceVersion: string, uid = `uid-${name}`): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'ns', name, uid, resourceVersion, managedFields: [{ manager: 'somebody' }] },
});
const event = (type: string, object: unknown): object => ({ type, object });
const bookmark = (resourceVersion: string, end = false): object =>
  event('BOOKMARK', {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { resourceVersion, ...(end ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) },
  });
const failure = (code: number, reason: string): object =>
  event('ERROR', { kind: 'Status', apiVersion: 'v1', code, reason, message: `${reason} it is` });
const listOf = (resourceVersion: string, items: readonly KubeObject[], next?: string): object => ({
  kind: 'PodList',
  metadata: { resourceVersion, ...(next === undefined ? {} : { continue: next }) },
  // Items of real lists carry neither.
  items: items.map(({ metadata }) => ({ metadata })),
});

async function started(options: Partial<ReflectorOptions<Pod>> = {}, clientClock?: FakeClock) {
  const server = await new ScriptedServer().start();
  const client = clientOf(configOf(server.url), {}, clientClock);
  const clock = impatientClock();
  const reflector = new Reflector<Pod>({
    kube: client.kube,
    resource: pods,
    metrics: client.metrics,
    log: client.log,
    clock,
    random: () => 0.5,
    ...options,
  });
  const changes: string[] = [];
  reflector.onChange(({ type, key, object, initial }) =>
    changes.push(
      `${type} ${key} ${object.metadata.uid}@${object.metadata.resourceVersion}${initial ? ' initial' : ''}`,
    ),
  );
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  return {
    server,
    client,
    clock,
    reflector,
    changes,
    stop,
    running,
    synced: () => reflector.waitForSync(stop.signal, timeout),
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the test is over'));
      await running.catch(() => undefined);
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Answers the first watch with these pods and leaves it open. */
async function filled(server: ScriptedServer, ...objects: readonly KubeObject[]): Promise<Asked> {
  const asked = await server.next();
  assert.equal(asked.query.get('sendInitialEvents'), 'true');
  return asked.startWatch().send(...objects.map((object) => event('ADDED', object)), bookmark('100', true));
}

/** Answers a WatchList as a server does that has none, so that the reflector lists. */
async function refuseWatchList(server: ScriptedServer): Promise<void> {
  (await server.next()).startWatch().send(failure(500, 'InternalError')).end();
}

test('it fills from a watch, says when it has everything, and goes on following the same one', {
  timeout,
}, async () => {
  await using it = await started({ labelSelector: 'app=x', namespace: 'ns' });
  const first = await it.server.next();
  assert.equal(first.path, '/api/v1/namespaces/ns/pods');
  assert.deepEqual(Object.fromEntries(first.query), {
    watch: 'true',
    allowWatchBookmarks: 'true',
    sendInitialEvents: 'true',
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: '450',
    labelSelector: 'app=x',
  });
  first.startWatch().send(event('ADDED', pod('a', '1')), event('ADDED', pod('b', '2')));
  assert.equal(it.reflector.synced, false);
  first.send(bookmark('100', true));
  await it.synced();
  assert.deepEqual(it.changes, ['added ns/a uid-a@1 initial', 'added ns/b uid-b@2 initial']);
  assert.equal(it.reflector.store.get('ns/a')?.metadata.managedFields, undefined);
  first.send(event('MODIFIED', pod('a', '101')), event('DELETED', pod('b', '102')));
  await until(() => it.changes.length === 4);
  assert.deepEqual(it.changes.slice(2), ['updated ns/a uid-a@101', 'deleted ns/b uid-b@102']);
  first.end();
  const second = await it.server.next();
  assert.deepEqual([second.query.get('resourceVersion'), second.query.get('sendInitialEvents')], ['102', null]);
  assert.deepEqual(it.clock.waits, []);
});

test('a server whose WatchList fails inside the stream is listed in pages, then watched from there', {
  timeout,
}, async () => {
  await using it = await started();
  await refuseWatchList(it.server);
  const page1 = await it.server.next();
  assert.deepEqual(Object.fromEntries(page1.query), { limit: '500' });
  page1.answer(200, listOf('50', [pod('a', '1')], 'more'));
  const page2 = await it.server.next();
  assert.equal(page2.query.get('continue'), 'more');
  assert.equal(it.reflector.synced, false);
  page2.answer(200, listOf('50', [pod('b', '2')]));
  const watch = await it.server.next();
  assert.equal(watch.query.get('resourceVersion'), '50');
  assert.equal(it.reflector.store.get('ns/b')?.kind, 'Pod');
  assert.equal(it.reflector.store.get('ns/b')?.apiVersion, 'v1');
});

test('a page token that expires midway leads to one list of everything', { timeout }, async () => {
  await using it = await started();
  await refuseWatchList(it.server);
  (await it.server.next()).answer(200, listOf('50', [pod('a', '1')], 'more'));
  (await it.server.next()).refuse(410, 'Expired');
  const whole = await it.server.next();
  assert.deepEqual(Object.fromEntries(whole.query), {});
  whole.answer(200, listOf('60', [pod('b', '2')]));
  await it.synced();
  assert.deepEqual([...it.reflector.store.keys()], ['ns/b']);
});

for (const how of ['in the stream', 'as the answer'] as const) {
  test(`a version too old, told ${how}, is read anew while the old cache is served, with deletes for what vanished`, {
    timeout,
  }, async () => {
    await using it = await started();
    const first = await filled(it.server, pod('a', '1'), pod('b', '2'));
    await it.synced();
    if (how === 'in the stream') first.send(failure(410, 'Expired')).end();
    else {
      first.end();
      (await it.server.next()).refuse(410, 'Expired');
    }
    const again = await it.server.next();
    assert.equal(again.query.get('sendInitialEvents'), 'true');
    again.startWatch().send(event('ADDED', pod('b', '7')));
    assert.deepEqual([...it.reflector.store.keys()], ['ns/a', 'ns/b']);
    assert.equal(it.reflector.synced, true);
    again.send(bookmark('200', true));
    await until(() => it.changes.length === 4);
    assert.deepEqual(it.changes.slice(2), ['deleted ns/a uid-a@1', 'updated ns/b uid-b@7']);
  });
}

test('any other error inside the stream is waited out and watched on from the last version', { timeout }, async () => {
  await using it = await started();
  const first = await filled(it.server, pod('a', '1'));
  first.send(bookmark('150'), failure(500, 'InternalError')).end();
  const second = await it.server.next();
  assert.deepEqual([second.query.get('resourceVersion'), second.query.get('sendInitialEvents')], ['150', null]);
  assert.equal(it.clock.waits.length, 1);
});

test('a server that refuses the version three times in a row is read anew', { timeout }, async () => {
  await using it = await started();
  (await filled(it.server, pod('a', '1'))).end();
  for (let i = 0; i < 3; i++) {
    const asked = await it.server.next();
    assert.equal(asked.query.get('resourceVersion'), '100');
    asked.refuse(504, 'Timeout', 'Too large resource version');
  }
  assert.equal((await it.server.next()).query.get('sendInitialEvents'), 'true');
  assert.deepEqual(
    it.clock.waits.map((ms) => Math.round(ms)),
    [600, 1_200, 2_400],
  );
});

test('after a watch that was open for 10 s the pauses begin anew, after a shorter one they grow', {
  timeout,
}, async () => {
  await using it = await started();
  (await filled(it.server, pod('a', '1'))).end();
  (await it.server.next()).refuse(500, 'InternalError', 'no');
  for (const openMs of [9_000, 10_000]) {
    const asked = await it.server.next();
    asked.startWatch().send(event('ADDED', pod(`b-${openMs}`, String(100 + openMs))));
    await until(() => it.reflector.store.get(`ns/b-${openMs}`) !== undefined);
    it.clock.waits.push(openMs);
    asked.send(failure(500, 'InternalError')).end();
  }
  await it.server.next();
  assert.deepEqual(
    it.clock.waits.map((ms) => Math.round(ms)),
    [600, 9_000, 1_200, 10_000, 600],
  );
});

test('a connection that went silent is left for a new one from the last version', { timeout }, async () => {
  const clock = new FakeClock();
  await using it = await started({ idleMs: 20_000 }, clock);
  const first = await filled(it.server, pod('a', '1'));
  await it.synced();
  await clock.advance(12_000);
  first.send(event('ADDED', pod('b', '101')));
  await until(() => it.reflector.store.size === 2);
  await clock.advance(12_000);
  assert.equal(it.server.unasked, 0, 'it was heard 12 s ago');
  await clock.advance(8_000);
  const second = await it.server.next();
  assert.equal(second.query.get('resourceVersion'), '101');
  await first.gone;
  second.startWatch().send(event('ADDED', pod('c', '102')));
  await until(() => it.reflector.store.size === 3);
});

test('a watch whose answer does not even begin is left after the same silence', { timeout: 20_000 }, async () => {
  const clock = new FakeClock();
  await using it = await started({ idleMs: 20_000 }, clock);
  (await filled(it.server, pod('a', '1'))).end();
  const silent = await it.server.next();
  await clock.advance(20_000);
  await silent.gone;
  assert.equal((await it.server.next()).query.get('resourceVersion'), '100');
});

test('bytes that trickle are put together, also inside a character, and an unfinished object is none', {
  timeout,
}, async () => {
  await using it = await started();
  const first = await filled(it.server);
  await it.synced();
  const named = { ...pod('a', '101'), metadata: { ...pod('a', '101').metadata, annotations: { city: 'Zürich 🚇' } } };
  const bytes = Buffer.from(
    `${JSON.stringify(event('ADDED', named))}\n${JSON.stringify(event('ADDED', pod('b', '102')))}`,
  );
  for (const byte of bytes) {
    first.response.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  first.end();
  const second = await it.server.next();
  assert.equal(second.query.get('resourceVersion'), '101');
  assert.equal(it.reflector.store.get('ns/a')?.metadata.annotations?.['city'], 'Zürich 🚇');
  assert.equal(it.reflector.store.get('ns/b'), undefined);
});

test('an object of another uid under the same name is told as an end and a start', { timeout }, async () => {
  await using it = await started();
  const first = await filled(it.server, pod('a', '1', 'old'));
  first.send(event('MODIFIED', pod('a', '101', 'new')));
  await until(() => it.changes.length === 3);
  assert.deepEqual(it.changes.slice(1), ['deleted ns/a old@1', 'added ns/a new@101']);
});

test('a server that was away is followed again from where it was, without reading everything', {
  timeout,
}, async () => {
  await using it = await started();
  await filled(it.server, pod('a', '1'));
  await it.synced();
  await it.server.stop();
  await until(() => it.clock.waits.length >= 3);
  await it.server.start();
  const back = await it.server.next();
  assert.deepEqual([back.query.get('resourceVersion'), back.query.get('sendInitialEvents')], ['100', null]);
  back.startWatch().send(event('ADDED', pod('b', '101')));
  await until(() => it.reflector.store.size === 2);
});

test('a watch that ends at once and brings nothing is not asked for again without a pause', { timeout }, async () => {
  await using it = await started();
  (await filled(it.server)).end();
  (await it.server.next()).startWatch().end();
  await it.server.next();
  assert.equal(it.clock.waits.length, 1);
});

test('stopping in the middle of the first list opens nothing more', { timeout }, async () => {
  const it = await started();
  await refuseWatchList(it.server);
  const list = await it.server.next();
  it.stop.abort();
  await it.running;
  await list.gone;
  assert.equal(it.server.unasked, 0);
  assert.equal(it.reflector.synced, false);
  await it[Symbol.asyncDispose]();
});

test('whoever waits for the first read learns why it did not come', { timeout }, async () => {
  await using it = await started();
  void (async () => {
    for (;;)
      (await it.server.next()).refuse(403, 'Forbidden', 'pods is forbidden: User "x" cannot list resource "pods"');
  })().catch(() => undefined);
  await until(() =>
    it.client.lines.some(({ level, msg }) => level === 'warn' && msg === 'the API server refuses the watch'),
  );
  const waiting = it.reflector.waitForSync(it.stop.signal, 300);
  await assert.rejects(waiting, /the first read of pods took longer than 300 ms: .*cannot list resource "pods"/);
});

test('a listener that throws ends the reflector: what it missed cannot be made up for', { timeout }, async () => {
  await using it = await started();
  it.reflector.onChange(() => {
    throw new TypeError('a bug');
  });
  await filled(it.server, pod('a', '1'));
  await assert.rejects(it.running, /a bug/);
});

test('what a transform leaves out is not kept', { timeout }, async () => {
  await using it = await started({
    transform: ({ apiVersion, kind, metadata: { namespace = '', name, uid = '', resourceVersion = '' } }) => ({
      apiVersion,
      kind,
      metadata: { namespace, name, uid, resourceVersion },
    }),
  });
  const object = { ...pod('a', '1'), spec: { nodeName: 'n' } };
  await filled(it.server, object);
  await it.synced();
  assert.deepEqual(it.reflector.store.get('ns/a'), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'ns', name: 'a', uid: 'uid-a', resourceVersion: '1' },
  });
});
