// Refused pods are tried again at a steady pace, and only while they are refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment } from '../../../src/controller/kube/base/resources.ts';
import type { Kube } from '../../../src/controller/kube/rest/kube.ts';
import { RefusalRetry } from '../../../src/controller/refusal-retry.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { deployment } from './status/observed.ts';

function rig() {
  const clock = new FakeClock();
  const patches: unknown[] = [];
  const mergePatch = async (_: unknown, name: unknown, patch: unknown): Promise<Deployment> => {
    patches.push(patch);
    assert.ok(name);
    return deployment();
  };
  const retry = new RefusalRetry({ mergePatch: mergePatch as unknown as Kube['mergePatch'] }, clock);
  const call = { signal: new AbortController().signal };
  return {
    patches,
    pass: (refused: boolean) => retry.retry(deployment(), refused, call),
    wait: (ms: number) => clock.advance(ms),
  };
}

test('a refusal is followed by a try every 15 s, not by every pass', async () => {
  const { patches, pass, wait } = rig();
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 0);
  await wait(10_000);
  assert.equal(await pass(true), 5_000);
  await wait(5_000);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 1);
  assert.match(JSON.stringify(patches[0]), /portforward\.dev\/retryPods.*2026-01-01T00:00:15/);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 1);
});

test('nothing is written once pods are taken, and a later refusal starts anew', async () => {
  const { patches, pass, wait } = rig();
  await pass(true);
  await wait(20_000);
  assert.equal(await pass(false), undefined);
  assert.equal(await pass(true), 15_000);
  assert.equal(patches.length, 0);
});
