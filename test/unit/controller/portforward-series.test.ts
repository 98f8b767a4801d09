import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredPortForward } from '../../../src/controller/base/portforward.ts';
import { portForwardSeries } from '../../../src/controller/portforward-series.ts';
import { Registry } from '../../../src/process/metrics.ts';

const stored = (name: string, ready: 'True' | 'False', reason: string, namespace = 'shop'): StoredPortForward => ({
  apiVersion: 'portforward.dev/v1alpha1',
  kind: 'PortForward',
  metadata: { name, namespace },
  status: {
    readyReplicas: ready === 'True' ? 2 : 0,
    conditions: [
      {
        type: 'Ready',
        status: ready,
        reason,
        message: '',
        lastTransitionTime: '2026-11-30T00:00:00Z',
        observedGeneration: 1,
      },
    ],
  },
});

async function series(limit: number, all: readonly StoredPortForward[]): Promise<string[]> {
  const registry = new Registry();
  portForwardSeries(registry, { limit, portForwards: () => all });
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

const orders = stored('orders-db', 'True', 'Ready');
const stock = stored('stock-db', 'False', 'BastionUnreachable');

test('each PortForward has its own, with the reason', async () => {
  const { metadata, apiVersion, kind } = stored('new', 'True', '');
  assert.deepEqual(await series(10, [orders, stock, { apiVersion, kind, metadata }]), [
    'portforward_ready{portforward_namespace="shop",portforward_name="orders-db",reason="Ready"} 1',
    'portforward_ready{portforward_namespace="shop",portforward_name="stock-db",reason="BastionUnreachable"} 0',
    'portforward_ready{portforward_namespace="shop",portforward_name="new",reason="Pending"} 0',
    'portforward_ready_replicas{portforward_namespace="shop",portforward_name="orders-db"} 2',
    'portforward_ready_replicas{portforward_namespace="shop",portforward_name="stock-db"} 0',
    'portforward_ready_replicas{portforward_namespace="shop",portforward_name="new"} 0',
    'portforward_series_left_out 0',
  ]);
});

test('beyond the limit the first by namespace and name have series, in whatever order they came, and the others are counted', async () => {
  const first = stored('zebra', 'True', 'Ready', 'accounts');
  for (const all of [
    [stock, orders, first],
    [first, stock, orders],
  ]) {
    const lines = await series(2, all);
    assert.deepEqual(
      lines
        .filter((line) => line.startsWith('portforward_ready{'))
        .map((line) => /name="([^"]*)",reason/.exec(line)?.[1]),
      ['zebra', 'orders-db'],
    );
    assert.ok(lines.includes('portforward_series_left_out 1'));
  }
});
