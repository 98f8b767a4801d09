import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, ApiUnreachable } from '../../../../../src/controller/kube/base/api-error.ts';
import { kubeMetrics } from '../../../../../src/controller/kube/base/metrics.ts';
import type { Event } from '../../../../../src/controller/kube/base/resources.ts';
import { type EventInput, EventRecorder } from '../../../../../src/controller/kube/events/events.ts';
import type { Kube } from '../../../../../src/controller/kube/rest/kube.ts';
import { silentLog } from '../../../../../src/process/log.ts';
import { Registry } from '../../../../../src/process/metrics.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

const minute = 60_000;

const noteOf = (name: string, more: Partial<EventInput> = {}): EventInput => ({
  regarding: {
    apiVersion: 'g/v1',
    kind: 'Thing',
    metadata: { namespace: 'ns', name, uid: `uid-${name}`, resourceVersion: '1' },
  },
  type: 'Warning',
  reason: 'Broken',
  action: 'Connect',
  note: 'It broke.',
  ...more,
});

function recorderOf() {
  const clock = new FakeClock();
  const registry = new Registry();
  const created: Event[] = [];
  const patched: { name: string; patch: unknown }[] = [];
  const fail: unknown[] = [];
  const failNext = async (): Promise<void> => {
    await Promise.resolve();
    const error = fail.shift();
    if (error !== undefined) throw error;
  };
  const kube = {
    create: async (_: unknown, event: Event) => {
      await failNext();
      created.push(event);
      return event;
    },
    mergePatch: async (_: unknown, { name }: { name: string }, patch: unknown) => {
      await failNext();
      patched.push({ name, patch });
      return {};
    },
  } as unknown as Kube;
  const recorder = new EventRecorder({
    kube,
    reportingController: 'portforward.dev/controller',
    reportingInstance: 'pod-1',
    metrics: kubeMetrics(registry),
    log: silentLog(),
    clock,
  });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
  const dropped = async (cause: string): Promise<string | undefined> =>
    new RegExp(`^event_recorder_dropped_total\\{cause="${cause}"\\} (\\d+)$`, 'm').exec(await registry.metrics())?.[1];
  return { clock, recorder, created, patched, fail, stop, running, dropped };
}

const seriesOf = (patches: readonly { patch: unknown }[]): unknown[] =>
  patches.map(({ patch }) => (patch as { series: { count: number } }).series.count);

test('the first occurrence is written as the API wants it', async () => {
  const { recorder, created, stop, running } = recorderOf();
  recorder.record(noteOf('a'));
  await settle();
  await settle();
  const [event] = created;
  assert.ok(event);
  const { metadata, ...rest } = event;
  assert.match(metadata.name, /^a\.[0-9a-f]{16}$/);
  assert.equal(metadata.namespace, 'ns');
  assert.deepEqual(rest, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'portforward.dev/controller',
    reportingInstance: 'pod-1',
    type: 'Warning',
    reason: 'Broken',
    action: 'Connect',
    note: 'It broke.',
    regarding: { apiVersion: 'g/v1', kind: 'Thing', name: 'a', namespace: 'ns', uid: 'uid-a', resourceVersion: '1' },
  });
  stop.abort();
  await running;
});

test('repeats become a series: told at the second, then only when it ends', async () => {
  const { clock, recorder, created, patched, stop, running } = recorderOf();
  for (let i = 0; i < 10; i++) {
    recorder.record(noteOf('a'));
    await clock.advance(1_000);
  }
  assert.equal(created.length, 1);
  assert.deepEqual(seriesOf(patched), [2]);
  assert.equal(patched[0]?.name, created[0]?.metadata.name);
  await clock.advance(13 * minute);
  assert.deepEqual(patched[1]?.patch, { series: { count: 10, lastObservedTime: '2026-01-01T00:00:09.000000Z' } });
  recorder.record(noteOf('a'));
  await settle();
  await settle();
  assert.equal(created.length, 2, 'after a pause it is news again');
  stop.abort();
  await running;
});

test('a series that goes on is refreshed every half hour', async () => {
  const { clock, recorder, patched, stop, running } = recorderOf();
  for (let i = 0; i < 20; i++) {
    recorder.record(noteOf('a'));
    await clock.advance(5 * minute);
  }
  assert.deepEqual(seriesOf(patched), [2, 6, 12, 18]);
  stop.abort();
  await running;
});

test('other reasons, actions, types, notes and objects are other events; another version of the object is not', async () => {
  const { recorder, created, clock, stop, running } = recorderOf();
  const base = noteOf('a');
  recorder.record(base);
  recorder.record({ ...base, reason: 'Other' });
  recorder.record({ ...base, action: 'Other' });
  recorder.record({ ...base, type: 'Normal' });
  recorder.record({ ...base, note: 'It broke in another way.' });
  recorder.record(noteOf('b'));
  recorder.record({
    ...base,
    regarding: { ...base.regarding, metadata: { ...base.regarding.metadata, resourceVersion: '2' } },
  });
  await clock.advance(0);
  await clock.advance(0);
  assert.equal(created.length, 6);
  stop.abort();
  await running;
});

test('one noisy object is cut off after 25, and the others are not', async () => {
  const { recorder, created, clock, dropped, stop, running } = recorderOf();
  for (let i = 0; i < 40; i++) recorder.record(noteOf('noisy', { reason: `Reason${i}` }));
  recorder.record(noteOf('quiet'));
  for (let i = 0; i < 30; i++) await clock.advance(0);
  assert.equal(created.length, 26);
  assert.equal(await dropped('spam'), '15');
  await clock.advance(5 * minute);
  recorder.record(noteOf('noisy', { reason: 'Later' }));
  for (let i = 0; i < 5; i++) await clock.advance(0);
  assert.equal(created.length, 27);
  stop.abort();
  await running;
});

test('an API server that is away is tried for two minutes, one that refuses is not', async () => {
  const { recorder, created, fail, clock, dropped, stop, running } = recorderOf();
  fail.push(...Array.from({ length: 5 }, () => new ApiUnreachable('POST', new Error('refused'), false)));
  recorder.record(noteOf('a'));
  await clock.advance(60_000);
  assert.equal(created.length, 1);
  fail.push(new ApiError('POST', 403, { reason: 'Forbidden' }));
  recorder.record(noteOf('b'));
  await clock.advance(60_000);
  assert.deepEqual([created.length, await dropped('refused')], [1, '1']);
  fail.push(...Array.from({ length: 12 }, () => new ApiUnreachable('POST', new Error('refused'), false)));
  recorder.record(noteOf('c'));
  await clock.advance(300_000);
  assert.deepEqual([created.length, await dropped('unreachable'), fail.length], [1, '1', 0]);
  recorder.record(noteOf('c'));
  await clock.advance(1_000);
  assert.equal(created.length, 2, 'what was not written is tried again when it happens again');
  stop.abort();
  await running;
});

test('a create whose answer was lost counts as written', async () => {
  const { recorder, created, fail, patched, clock, stop, running } = recorderOf();
  fail.push(
    new ApiUnreachable('POST', new Error('reset'), true),
    new ApiError('POST', 409, { reason: 'AlreadyExists' }),
  );
  recorder.record(noteOf('a'));
  await clock.advance(20_000);
  recorder.record(noteOf('a'));
  await clock.advance(1_000);
  assert.deepEqual([created.length, seriesOf(patched)], [0, [2]]);
  stop.abort();
  await running;
});

test('a series whose object has expired goes on in a new one', async () => {
  const { recorder, created, fail, clock, stop, running } = recorderOf();
  recorder.record(noteOf('a'));
  await clock.advance(1_000);
  fail.push(new ApiError('PATCH', 404, { reason: 'NotFound' }));
  recorder.record(noteOf('a'));
  await clock.advance(1_000);
  assert.equal(created.length, 2);
  assert.equal(created[1]?.series?.count, 2);
  assert.notEqual(created[1]?.metadata.name, created[0]?.metadata.name);
  assert.match(created[1]?.metadata.name ?? '', /^a\.[0-9a-f]{16}$/);
  stop.abort();
  await running;
});

test('what is queued when it stops is still written, and nothing after', async () => {
  const { recorder, created, clock, stop, running, dropped } = recorderOf();
  for (let i = 0; i < 20; i++) recorder.record(noteOf(`o${i}`));
  stop.abort(new Error('stopping'));
  await running;
  assert.equal(created.length, 20);
  recorder.record(noteOf('late'));
  await settle();
  assert.equal(created.length, 20);
  assert.deepEqual([await dropped('ended'), clock.pending], ['1', 0]);
});

test('a thousand events may wait; more are dropped and counted, and memory stays bounded', async () => {
  const { recorder, dropped, stop, running } = recorderOf();
  for (let i = 0; i < 5_000; i++) recorder.record(noteOf(`o${i}`));
  assert.equal(await dropped('queue'), '4000');
  stop.abort();
  await running;
});

test('a long note is cut at 1024 bytes, never inside a character', async () => {
  const { recorder, created, clock, stop, running } = recorderOf();
  recorder.record(noteOf('a', { note: `x${'ü'.repeat(600)}` }));
  await clock.advance(1);
  const note = created[0]?.note ?? '';
  assert.equal(Buffer.byteLength(note), 1_023);
  assert.ok(!note.includes('\uFFFD'));
  stop.abort();
  await running;
});
