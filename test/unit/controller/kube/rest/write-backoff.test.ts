// A write that got no answer in time is not sent again at once: the pause is per object and grows, and an answer ends it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, isApiFailure, WriteHeldBack } from '../../../../../src/controller/kube/base/api-error.ts';
import { services } from '../../../../../src/controller/kube/base/resources.ts';
import { createKubeClient, type Kube } from '../../../../../src/controller/kube/rest/kube.ts';
import type { KubeTransport } from '../../../../../src/controller/kube/rest/transport.ts';
import { WriteBackoff } from '../../../../../src/controller/kube/rest/write-backoff.ts';
import { DeadlineExceeded } from '../../../../../src/process/deadline.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const { signal } = new AbortController();
const timeout = new DeadlineExceeded('PATCH took longer than 5000 ms');

/** An API server that gives the outcome of each request, by the name of its object. */
function scripted(outcome: (name: string) => unknown) {
  const clock = new FakeClock();
  const sent: string[] = [];
  const transport: Pick<KubeTransport, 'request'> = {
    request: ({ path }) => {
      const name = path.split('/').at(-1) ?? '';
      sent.push(name);
      const result = outcome(name);
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
    },
  };
  const kube = createKubeClient(transport as KubeTransport, { backoff: new WriteBackoff(clock) });
  return { kube, clock, sent };
}

const write = async (kube: Kube, name: string, by: AbortSignal = signal): Promise<unknown> => {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'ns', name } };
  return await kube.apply(services, service, { signal: by, fieldManager: 'me' }).catch((error: unknown) => error);
};

/** The pause that holds the object back. */
async function pauseOf(kube: Kube, name: string): Promise<number> {
  const held = await write(kube, name);
  assert.ok(held instanceof WriteHeldBack && isApiFailure(held), String(held));
  return held.retryInMs;
}

test('an object whose write timed out is held back, others are written, and the pause doubles up to 5 minutes', async () => {
  const { kube, clock, sent } = scripted((name) => (name === 'slow' ? timeout : { metadata: { name } }));
  for (const full of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
    assert.equal(await write(kube, 'slow'), timeout);
    const pause = await pauseOf(kube, 'slow');
    assert.ok(pause <= full && pause >= 0.8 * full, `${pause} ms of ${full} ms`);
    await clock.advance(pause);
  }
  assert.equal(sent.length, 8, 'a write that is held back sends nothing');
  await write(kube, 'slow');
  assert.deepEqual(await write(kube, 'quick'), { apiVersion: 'v1', kind: 'Service', metadata: { name: 'quick' } });
});

for (const [answer, outcome] of [
  ['success', { metadata: { name: 'a' } }],
  ['a refusal', new ApiError('PATCH', 422, { message: 'no' })],
] as const) {
  test(`${answer} ends the pauses: the next one is short again`, async () => {
    const outcomes: unknown[] = [timeout, timeout, outcome, timeout];
    const { kube, clock, sent } = scripted(() => outcomes.shift());
    await write(kube, 'a');
    await clock.advance(await pauseOf(kube, 'a'));
    await write(kube, 'a');
    await clock.advance(await pauseOf(kube, 'a'));
    await write(kube, 'a');
    assert.equal(await write(kube, 'a'), timeout);
    assert.ok((await pauseOf(kube, 'a')) <= 5_000);
    assert.equal(sent.length, 4);
  });
}

test('a caller that gives up says nothing about the object', async () => {
  const stop = new AbortController();
  const outcomes: unknown[] = [new DeadlineExceeded('the pass took longer than 60000 ms'), { metadata: { name: 'a' } }];
  const { kube } = scripted(() => {
    stop.abort();
    return outcomes.shift();
  });
  assert.ok((await write(kube, 'a', stop.signal)) instanceof DeadlineExceeded);
  assert.deepEqual(await write(kube, 'a'), { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } });
});
