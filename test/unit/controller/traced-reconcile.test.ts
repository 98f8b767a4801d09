import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { ObjectKey } from '../../../src/controller/kube/base/object.ts';
import type { Reconcile } from '../../../src/controller/kube/workqueue/controller.ts';
import { tracedReconcile } from '../../../src/controller/traced-reconcile.ts';
import { silentLog } from '../../../src/process/log.ts';
import type { Span } from '../../../src/process/span.ts';
import { FakeClock } from '../../support/fake-clock.ts';

async function passed(reconcile: Reconcile): Promise<readonly Span[]> {
  const clock = new FakeClock();
  const spans: Span[] = [];
  const traced = tracedReconcile(reconcile, (span) => void spans.push(span), clock);
  const context = { signal: new AbortController().signal, log: silentLog() };
  await traced('shop/orders-db' as ObjectKey, context).catch(() => undefined);
  return spans;
}

test('a pass is a span with whose it is', async () => {
  const [span] = await passed(async () => ({}));
  assert.equal(span?.name, 'reconcile');
  assert.deepEqual(span?.attributes, { 'k8s.namespace.name': 'shop', 'portforward.name': 'orders-db' });
  assert.equal(span?.failure, undefined);
});

test('a failure, thrown or returned, is a code and never a sentence', async () => {
  const failure = new TunnelError('ApiServerError', 'the API server said: password=correct-horse');
  for (const reconcile of [
    async () => ({ failure }),
    async () => {
      throw failure;
    },
  ]) {
    const spans = await passed(reconcile);
    assert.deepEqual(
      spans.map((span) => span.failure),
      ['ApiServerError'],
    );
    assert.doesNotMatch(JSON.stringify(spans), /correct-horse/);
  }
});

test('without a receiver the pass is the pass itself', () => {
  const reconcile: Reconcile = async () => ({});
  assert.equal(tracedReconcile(reconcile, undefined), reconcile);
});
