// The reader against real HTTP servers on loopback: when it asks, what it makes of answers, and that it leaves nothing behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Pod } from '../../../../src/controller/kube/base/resources.ts';
import { type ReaderTimings, StatuszReader } from '../../../../src/controller/status/statusz-reader.ts';
import { assertEvery } from '../../../support/assert-every.ts';
import { carrying, pod, readyStatus, runningStatus } from './observed.ts';

const timings: ReaderTimings = {
  changedMs: 5,
  notReadyMs: 15,
  longNotReadyMs: 10_000,
  longMs: 60_000,
  readyMs: 10_000,
  readsPerSecond: 300,
  deadlineMs: 5_000,
};

interface Rig {
  readonly reader: StatuszReader;
  /** Resolves with the next change. */
  readonly change: () => Promise<Pod>;
  readonly requests: string[];
}

/** A reader whose pods are all served by `listener`. */
async function rig(
  t: TestContext,
  listener: RequestListener,
  more: Partial<ReaderTimings> = {},
  isOurs: (pod: Pod) => boolean = () => true,
): Promise<Rig> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    listener(request, response);
  });
  // All of 127.0.0.0/8, so that each pod can have an address of its own.
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const changes: Pod[] = [];
  const waiters: ((pod: Pod) => void)[] = [];
  const reader = new StatuszReader({
    originOf: ({ status }) => `http://${status?.podIP}:${(server.address() as AddressInfo).port}`,
    isOurs,
    onChange: (changed) => {
      const waiter = waiters.shift();
      if (waiter === undefined) changes.push(changed);
      else waiter(changed);
    },
    timings: { ...timings, ...more },
  });
  const stop = new AbortController();
  const running = reader.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    server.close();
    server.closeAllConnections();
  });
  return {
    reader,
    requests,
    change: () => {
      const change = changes.shift();
      return change === undefined ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve(change);
    },
  };
}

const json =
  (value: unknown): RequestListener =>
  (_, response) =>
    void response.end(JSON.stringify(value));

test('a pod is read soon after it appears, and its reading is known from then on', async (t) => {
  const { reader, change, requests } = await rig(t, json(carrying));
  const one = pod(readyStatus);
  reader.track(one);
  assert.equal(reader.reading(one), undefined);
  assert.equal(await change(), one);
  assert.deepEqual(reader.reading(one), { status: carrying, unreadable: undefined });
  assert.deepEqual(requests, ['/statusz']);
});

test('a pod that is not ready is read again and again, and only a change is told', async (t) => {
  let reads = 0;
  const { reader, change } = await rig(t, (request, response) => {
    reads += 1;
    json(reads < 4 ? carrying : { ...carrying, via: 'other:22' })(request, response);
  });
  reader.track(pod(runningStatus));
  await change();
  const changed = await change();
  assert.equal(reader.reading(changed)?.status?.via, 'other:22');
  assert.ok(reads >= 4);
});

test('a ready pod is read as often while a port of it is not known to be reachable', async (t) => {
  let reads = 0;
  const { reader, change } = await rig(t, (request, response) => {
    reads += 1;
    const ports = carrying.ports.map((port) => ({ ...port, reachable: reads < 4 ? null : false }));
    json({ ...carrying, ports })(request, response);
  });
  reader.track(pod(readyStatus));
  await change();
  const changed = await change();
  assert.deepEqual(
    reader.reading(changed)?.status?.ports.map(({ reachable }) => reachable),
    carrying.ports.map(() => false),
  );
});

test('a ready pod is read again when its readiness changes', async (t) => {
  let via = 0;
  const { reader, change } = await rig(t, (request, response) => {
    via += 1;
    json({ ...carrying, via: `${via}` })(request, response);
  });
  reader.track(pod(readyStatus));
  await change();
  reader.track(pod(readyStatus));
  reader.track(pod(runningStatus));
  await change();
  assert.equal(via, 2);
});

test('one failed read keeps what was known; the second makes the pod unreadable, and says why', async (t) => {
  let reads = 0;
  const { reader, change } = await rig(t, (request, response) => {
    reads += 1;
    if (reads === 1) json(carrying)(request, response);
    else response.writeHead(500).end('no');
  });
  const one = pod(runningStatus);
  reader.track(one);
  await change();
  await change();
  assert.ok(reads >= 3);
  assert.equal(reader.reading(one)?.status, undefined);
  assert.match(
    reader.reading(one)?.unreadable ?? '',
    /^the status of pod pf-orders-db-abc-1 cannot be read from http:.*: HTTP 500$/,
  );
});

const hostile: Record<string, [RequestListener, RegExp, Partial<ReaderTimings>?]> = {
  'a redirect is not followed': [
    (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    /HTTP 302/,
  ],
  'an endless answer is cut off': [
    (_, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        if (!response.destroyed) response.once('drain', write);
      };
      write();
    },
    /longer than 65536 bytes/,
  ],
  'silence ends at the deadline': [() => undefined, /no answer in time/, { deadlineMs: 300 }],
  'an answer that never ends does so too': [
    (_, response) => void response.write('{'),
    /no answer in time/,
    { deadlineMs: 300 },
  ],
  'what is no JSON is told so': [(_, response) => void response.end('hello'), /not JSON/],
};

for (const [name, [listener, message, more]] of Object.entries(hostile)) {
  test(`${name}`, async (t) => {
    const { reader, change } = await rig(t, listener, more);
    const one = pod(runningStatus);
    reader.track(one);
    let reading = reader.reading(await change());
    if (reading?.unreadable === undefined) reading = reader.reading(await change());
    assert.match(reading?.unreadable ?? '', message);
  });
}

test('64 pods are asked at the same time, never more, and all are asked in the end', { timeout: 60_000 }, async (t) => {
  let open = 0;
  let most = 0;
  const full = Promise.withResolvers<void>();
  const { reader, requests } = await rig(
    t,
    (request, response) => {
      open += 1;
      most = Math.max(most, open);
      if (open === 64) full.resolve();
      // Nobody is answered before 64 were asked, and then late enough that one more would come in between.
      void full.promise.then(() =>
        setTimeout(() => {
          open -= 1;
          json(carrying)(request, response);
        }, 20),
      );
    },
    { deadlineMs: 30_000, readyMs: 600_000 },
  );
  const names = Array.from({ length: 200 }, (_, index) => `pod-${index}`);
  const all = names.map((name) => pod({ ...readyStatus, podIP: `127.0.1.${name.slice(4)}` }, name));
  for (const each of all) reader.track(each);
  while (all.some((each) => reader.reading(each) === undefined))
    await new Promise((resolve) => setTimeout(resolve, 10));
  assertEvery(all, (each) => reader.reading(each)?.status !== undefined, 'the status was read');
  assert.equal(requests.length, 200);
  assert.equal(most, 64);
});

test('a pod that was forgotten, and one that replaced it under the same name, have no reading of the past', async (t) => {
  const { reader, change } = await rig(t, json(carrying));
  const first = pod(readyStatus);
  reader.track(first);
  await change();
  const second = { ...first, metadata: { ...first.metadata, uid: 'another' } };
  assert.equal(reader.reading(second), undefined);
  reader.track(second);
  assert.equal(reader.reading(first), undefined);
  await change();
  assert.ok(reader.reading(second));
  reader.forget(second);
  assert.equal(reader.reading(second), undefined);
  assert.equal(reader.size, 0);
});

test('a pod without an address, or on its way out, is not asked', async (t) => {
  const { reader, change, requests } = await rig(t, json(carrying));
  const { podIP: _, ...status } = pod(runningStatus).status ?? {};
  const starting: Pod = { ...pod({}, 'starting'), status };
  const leaving: Pod = {
    ...pod(runningStatus, 'leaving'),
    metadata: { ...pod(runningStatus, 'leaving').metadata, deletionTimestamp: 'now' },
  };
  reader.track(starting);
  reader.track(leaving);
  reader.track(pod(readyStatus, 'here'));
  await change();
  assert.equal(requests.length, 1);
  reader.track(pod(runningStatus, 'starting'));
  await change();
  assert.ok(requests.length >= 2);
});

/** Resolves after a pod that is running was read four times or more: others had their turn. */
async function fourReads({ reader, change }: Rig, name: string): Promise<void> {
  reader.track(pod({ ...runningStatus, podIP: '127.0.0.9' }, name));
  for (;;) {
    const changed = await change();
    if (changed.metadata.name === name && Number(reader.reading(changed)?.status?.via) >= 4) return;
  }
}

/** Answers each pod with the number of its reads, and counts them. */
function counting(): { readonly listener: RequestListener; readonly readsOf: (address: string) => number } {
  const reads = new Map<string, number>();
  return {
    listener: (request, response) => {
      const address = request.headers.host?.split(':')[0] ?? '';
      reads.set(address, (reads.get(address) ?? 0) + 1);
      json({ ...carrying, via: String(reads.get(address)) })(request, response);
    },
    readsOf: (address) => reads.get(address) ?? 0,
  };
}

test('a pod that has an address but no process yet is not asked', async (t) => {
  const { listener, readsOf } = counting();
  const here = await rig(t, listener);
  const starting = pod({ podIP: '127.0.0.2' }, 'starting');
  here.reader.track(starting);
  await fourReads(here, 'here');
  assert.equal(readsOf('127.0.0.2'), 0);
  assert.equal(here.reader.reading(starting), undefined);
});

test('a process that begins is not judged by what was heard of the one before', async (t) => {
  const { reader, change } = await rig(t, (_, response) => void response.writeHead(500).end());
  const running = pod(runningStatus);
  reader.track(running);
  await change();
  assert.deepEqual(reader.reading(running), { status: undefined, unreadable: undefined });
  reader.track(pod());
  reader.track(running);
  assert.equal(reader.reading(running), undefined);
  await change();
  assert.equal(reader.reading(running)?.unreadable, undefined, 'it has failed once');
});

test('a pod is due from a change of its readiness until it was heard, which is told although it says the same', async (t) => {
  const { reader, change } = await rig(t, json(carrying));
  reader.track(pod(runningStatus));
  await change();
  const ready = pod(readyStatus);
  assert.equal(reader.isAwaited(ready), false);
  reader.track(ready);
  assert.equal(reader.isAwaited(ready), true);
  assert.equal(await change(), ready);
  assert.equal(reader.isAwaited(ready), false);
});

test('a pod of another install is not asked, and one that proves to be ours is', async (t) => {
  const { listener, readsOf } = counting();
  let ours = false;
  const here = await rig(t, listener, {}, ({ metadata }) => ours || metadata.name === 'here');
  const other = pod({ ...runningStatus, podIP: '127.0.0.2' }, 'other');
  here.reader.track(other);
  await fourReads(here, 'here');
  assert.equal(readsOf('127.0.0.2'), 0);
  ours = true;
  while ((await here.change()).metadata.name !== 'other');
  assert.ok(here.reader.reading(other)?.status);
});

test('the first reads of many pods are spread as the later ones are', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  let asked = 0;
  const reader = new StatuszReader({
    originOf: () => {
      asked += 1;
      return 'http://127.0.0.1:1';
    },
    isOurs: () => true,
    onChange: () => undefined,
    timings: { ...timings, readyMs: 1_000, readsPerSecond: 1 },
  });
  for (let index = 0; index < 50; index += 1) reader.track(pod(readyStatus, `pod-${index}`), true);
  const stop = new AbortController();
  const running = reader.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  t.mock.timers.tick(1_000);
  // One of them on average; more than ten is less likely than one in ten million.
  assert.ok(asked <= 10, `${asked} in the first second`);
});
