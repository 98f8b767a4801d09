import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import { type Event, events, services } from '../../../src/controller/kube/base/resources.ts';
import { EventRecorder } from '../../../src/controller/kube/events/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { type RealApi, startRealApi } from './real-api.ts';

const { signal } = new AbortController();
const timeout = 60_000;
const reportingController = 'portforward.dev/controller';

let api: RealApi;
before(
  async () => {
    api = await startRealApi();
  },
  { timeout: 600_000 },
);
after(async () => await api[Symbol.asyncDispose]());

/** Our events: the API server has some of its own, as when it finds the address of a new Service before its allocation. */
async function ours(namespace: string): Promise<Event[]> {
  const { items } = await api.admin.kube.list(events, { namespace }, { signal });
  return items.filter((event) => event.reportingController === reportingController);
}

async function eventsIn(namespace: string, ready: (found: Event[]) => boolean): Promise<Event[]> {
  const end = performance.now() + 20_000;
  for (;;) {
    const items = await ours(namespace);
    if (ready(items)) return items;
    assert.ok(performance.now() < end, JSON.stringify(items));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs it until the returned function is called, or the test ends. */
function running(t: TestContext, recorder: EventRecorder): () => Promise<void> {
  const stop = new AbortController();
  const run = recorder.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await run;
  };
  t.after(end);
  return end;
}

test('an event and its repeats are one object whose series a person sees in kubectl', { timeout }, async (t) => {
  const namespace = await api.namespace();
  const object: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'db' } };
  const regarding = await api.admin.kube.create(services, { ...object, spec: { ports: [{ port: 1 }] } } as never, {
    signal,
  });
  const recorder = new EventRecorder({
    kube: api.admin.kube,
    reportingController,
    reportingInstance: 'pod-1',
    metrics: api.admin.metrics,
    log: api.admin.log,
  });
  const end = running(t, recorder);
  const broken = {
    regarding,
    type: 'Warning',
    reason: 'BastionRefusing',
    action: 'Connect',
    note: 'It was refused.',
  } as const;
  recorder.record(broken);
  await eventsIn(namespace, ({ length }) => length === 1);
  recorder.record(broken);
  const [event] = await eventsIn(namespace, ([first]) => first?.series?.count === 2);
  assert.equal(event?.regarding?.name, 'db');
  recorder.record({ ...broken, type: 'Normal', reason: 'Connected', note: 'It works.' });
  await eventsIn(namespace, ({ length }) => length === 2);
  const printed = await api.server.kubectl(['describe', 'service', 'db', '-n', namespace]);
  assert.match(printed, /Warning\s+BastionRefusing\s+.*\(x2 over .*It was refused\./);
  await end();
  assert.equal((await ours(namespace)).length, 2);
});

test('the last count of a series is told when it ends', { timeout }, async (t) => {
  const namespace = await api.namespace();
  const clock = new FakeClock();
  const regarding: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'db', uid: 'u' } };
  const recorder = new EventRecorder({
    kube: api.admin.kube,
    reportingController,
    reportingInstance: 'pod-1',
    metrics: api.admin.metrics,
    log: api.admin.log,
    clock,
  });
  const end = running(t, recorder);
  const broken = { regarding, type: 'Warning', reason: 'Broken', action: 'Connect', note: 'x' } as const;
  recorder.record(broken);
  await eventsIn(namespace, ({ length }) => length === 1);
  recorder.record(broken);
  await eventsIn(namespace, ([first]) => first?.series?.count === 2);
  for (let i = 0; i < 5; i++) recorder.record(broken);
  await clock.advance(13 * 60_000);
  await eventsIn(namespace, ([first]) => first?.series?.count === 7);
  await end();
});
