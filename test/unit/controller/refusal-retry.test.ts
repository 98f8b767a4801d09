// Refused pods are tried again at a steady pace, and only while they are refused.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Deployment } from '../../../src/controller/kube/base/resources.ts';
import type { Kube } from '../../../src/controller/kube/rest/kube.ts';
import { RefusalRetry } from '../../../src/controller/refusal-retry.ts';
import { deployment } from './status/observed.ts';

function rig(t: TestContext) {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
  const patches: unknown[] = [];
  const mergePatch = async (_: unknown, name: unknown, patch: unknown): Promise<Deployment> => {
    patches.push(patch);
    assert.ok(name);
    return deployment();
  };
  const retry = new RefusalRetry({ mergePatch: mergePatch as unknown as Kube['mergePatch'] });
  const call = { signal: new AbortController().signal };
  return {
    patches,
    pass: (refused: boolean) => retry.retry(deployment(), refused, call),
    wait: (ms: number) => t.mock.timers.tick(ms),
  };
}

test('a refusal is followed by a try every 15 s, not by every pass', async (t) => {
  const { patches, pass, wait } = rig(t);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 0);
  wait(10_000);
  assert.equal(await pass(true), 5_000);
  wait(5_000);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 1);
  assert.match(JSON.stringify(patches[0]), /portforward\.dev\/retryPods.*1970-01-01T00:16:55/);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 1);
});

test('nothing is written once pods are taken, and a later refusal starts anew', async (t) => {
  const { patches, pass, wait } = rig(t);
  await pass(true);
  wait(20_000);
  assert.equal(await pass(false), undefined);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 0);
});
