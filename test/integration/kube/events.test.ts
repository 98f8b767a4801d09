import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import { type Event, events, services } from '../../../src/controller/kube/base/resources.ts';
import { EventRecorder } from '../../../src/controller/kube/events/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { type RealApi, startRealApi } from './real-api.ts';

const { signal } = new AbortController();
const timeout = 60_000;

let api: RealApi;
before(
  async () => {
    api = await startRealApi();
  },
  { timeout: 600_000 },
);
after(async () => await api[Symbol.asyncDispose]());

async function eventsIn(namespace: string, ready: (found: Event[]) => boolean): Promise<Event[]> {
  const end = performance.now() + 20_000;
  for (;;) {
    const { items } = await api.admin.kube.list(events, { namespace }, { signal });
    if (ready(items)) return items;
    assert.ok(performance.now() < end, JSON.stringify(items));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('an event and its repeats are one object whose series a person sees in kubectl', { timeout }, async () => {
  const namespace = await api.namespace();
  const object: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'db' } };
  const regarding = await api.admin.kube.create(services, { ...object, spec: { ports: [{ port: 1 }] } } as never, {
    signal,
  });
  const recorder = new EventRecorder({
    kube: api.admin.kube,
    reportingController: 'portforward.dev/controller',
    reportingInstance: 'pod-1',
    metrics: api.admin.metrics,
    log: api.admin.log,
  });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
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
  stop.abort();
  await running;
  const { items } = await api.admin.kube.list(events, { namespace }, { signal });
  assert.equal(items.length, 2);
});

test('the last count of a series is told when it ends', { timeout }, async () => {
  const namespace = await api.namespace();
  const clock = new FakeClock();
  const regarding: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'db', uid: 'u' } };
  const recorder = new EventRecorder({
    kube: api.admin.kube,
    reportingController: 'portforward.dev/controller',
    reportingInstance: 'pod-1',
    metrics: api.admin.metrics,
    log: api.admin.log,
    clock,
  });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
  const broken = { regarding, type: 'Warning', reason: 'Broken', action: 'Connect', note: 'x' } as const;
  recorder.record(broken);
  await eventsIn(namespace, ({ length }) => length === 1);
  recorder.record(broken);
  await eventsIn(namespace, ([first]) => first?.series?.count === 2);
  for (let i = 0; i < 5; i++) recorder.record(broken);
  await clock.advance(13 * 60_000);
  await eventsIn(namespace, ([first]) => first?.series?.count === 7);
  stop.abort();
  await running;
});
