// What is written at once, what waits, what not at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortForwardStatus } from '../../../src/contract/api/status.ts';
import type { StoredPortForward } from '../../../src/controller/base/portforward.ts';
import { ApiError } from '../../../src/controller/kube/base/api-error.ts';
import { ReadYourWrites } from '../../../src/controller/kube/cache/read-your-writes.ts';
import { Store } from '../../../src/controller/kube/cache/store.ts';
import type { EventInput } from '../../../src/controller/kube/events/events.ts';
import type { Kube } from '../../../src/controller/kube/rest/kube.ts';
import type { Observation } from '../../../src/controller/status/conditions.ts';
import { computeStatus } from '../../../src/controller/status/status.ts';
import { StatusWriter } from '../../../src/controller/status-writer.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { portForward } from './portforwards.ts';
import { carrying, failing, lostTunnel, observation, readyTunnel } from './status/observed.ts';

/** A PortForward whose status is written as the real one is, against a kube that answers with what it is given. */
function rig() {
  const clock = new FakeClock();
  let live: StoredPortForward = { ...portForward(), status: { observedGeneration: -1 } };
  const written: PortForwardStatus[] = [];
  const events: EventInput[] = [];
  const applyStatus = async (_: unknown, body: StoredPortForward): Promise<StoredPortForward> => {
    assert.equal(body.metadata.resourceVersion, live.metadata.resourceVersion);
    live = { ...live, status: body.status ?? {} };
    written.push(body.status ?? {});
    return live;
  };
  const writer = new StatusWriter({
    kube: { applyStatus } as unknown as Kube,
    latest: new ReadYourWrites(new Store<StoredPortForward>()),
    events: { record: (event) => void events.push(event) },
    clock,
  });
  const pass = async (seen: Partial<Observation>): Promise<number | undefined> => {
    const computed = computeStatus(live, observation(seen), clock.date());
    return (await writer.write(live, computed, new AbortController().signal)).againInMs;
  };
  return { written, events, pass, wait: (ms: number) => clock.advance(ms) };
}

const lost = (message: string) => ({ tunnels: [lostTunnel(failing('BastionTimeout', message))] });

test('the same status is written once', async () => {
  const { written, pass } = rig();
  await pass({});
  await pass({});
  assert.equal(written.length, 1);
});

test('the way up is a few writes, however many steps it has', async () => {
  const { written, pass, wait } = rig();
  const steps = async (): Promise<void> => {
    for (let step = 0; step < 10; step += 1) {
      await wait(100);
      await pass({ tunnels: [lostTunnel(undefined, `pod-${step}`)] });
      await pass({ tunnels: [readyTunnel({ ...carrying, ports: [{ name: 'postgres', reachable: null }] })] });
    }
  };
  assert.equal(await pass({ tunnels: [] }), 2_000);
  await steps();
  assert.equal(written.length, 0, 'a tunnel that is ready soon has no status before that');
  await steps();
  assert.equal(written.length, 1, 'one that is not has a status after 2 s');
  await steps();
  assert.equal(written.length, 1);
  await pass({});
  assert.equal(written.length, 2, 'that it is ready is told at once');
});

test('a new tunnel that is ready within 2 s is one write, at once', async () => {
  const { written, pass, wait } = rig();
  await pass({ tunnels: [] });
  await wait(500);
  await pass({});
  assert.equal(written.length, 1);
});

test('what keeps a new tunnel from starting is written at once', async () => {
  for (const seen of [
    { refusal: { reason: 'InvalidSpec', message: 'no' } },
    { obstacle: { reason: 'Forbidden', message: 'no' } },
    lost('no answer'),
  ]) {
    const { written, pass } = rig();
    await pass(seen);
    assert.equal(written.length, 1, JSON.stringify(seen));
  }
});

test('a loss and another reason are told at once, another wording later, and it is known when', async () => {
  const { written, pass, wait } = rig();
  await pass({});
  await pass(lost('first'));
  assert.equal(written.length, 2);
  assert.equal(await pass(lost('second')), 10_000);
  await wait(4_000);
  assert.equal(await pass(lost('third')), 6_000);
  assert.equal(written.length, 2);
  await wait(6_000);
  await pass(lost('third'));
  assert.equal(written.length, 3);
  await pass({ tunnels: [lostTunnel(failing('BastionRefused'))] });
  assert.equal(written.length, 4);
});

test('details of pods wait for each other', async () => {
  const { written, pass, wait } = rig();
  await pass({});
  assert.equal(await pass({ tunnels: [readyTunnel(carrying, 'a'), readyTunnel(carrying, 'b')] }), 2_000);
  await wait(2_000);
  await pass({ tunnels: [readyTunnel(carrying, 'a'), readyTunnel(carrying, 'b')] });
  assert.equal(written.length, 2);
});

test('an Event tells each transition once, and is about the PortForward', async () => {
  const { events, pass } = rig();
  await pass({ tunnels: [] });
  await pass({});
  await pass({});
  await pass(lost('no answer'));
  assert.deepEqual(
    events.map(({ type, reason }) => `${type} ${reason}`),
    ['Normal Ready', 'Warning BastionTimeout'],
  );
  assertEvery(
    events,
    ({ regarding }) => regarding.metadata.name === 'orders-db' && regarding.kind === 'PortForward',
    'the event is about the PortForward',
  );
});

test('a PortForward that was deleted meanwhile is no failure', async () => {
  const clock = new FakeClock();
  const applyStatus = () => Promise.reject(new ApiError('PATCH /x', 404, { reason: 'NotFound' }));
  const writer = new StatusWriter({
    kube: { applyStatus } as unknown as Kube,
    latest: new ReadYourWrites(new Store<StoredPortForward>()),
    events: { record: () => assert.fail('nothing happened') },
  });
  const stored = portForward();
  await writer.write(stored, computeStatus(stored, observation(), clock.date()), new AbortController().signal);
});
