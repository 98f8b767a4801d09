// The series that count clients: both paths in one number each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistry } from '../../../src/process/metrics.ts';
import { listenerCells } from '../../../src/sidecar/base/native-engine.ts';
import { createTunnelMetrics } from '../../../src/sidecar/metrics.ts';

test('connections, bytes, resets and dials of the engine and of JavaScript are added up', async () => {
  const registry = createRegistry();
  const { tunnel, listener } = createTunnelMetrics(registry);
  listener.accepted('orders');
  listener.traffic('orders').toClient += 10;
  listener.reset('orders', 'session');
  listener.reset('orders', 'limit');
  tunnel.dialled(4, undefined);
  tunnel.dialled(20_000, 'DestinationTimeout');
  tunnel.dialled(700, 'DestinationRefused', true);
  const cells = listener.cellsOf('orders');
  cells[listenerCells.carried] = 2;
  cells[listenerCells.toClient] = 5;
  cells[listenerCells.toDestination] = 7;
  cells[listenerCells.resetBySession] = 1;
  cells[listenerCells.resetByDrain] = 4;
  cells[listenerCells.dialSecondsSum] = 0.75;
  // Up to 5 ms, and up to 1 s.
  cells[listenerCells.dialBuckets + 1] = 1;
  cells[listenerCells.dialBuckets + 8] = 1;
  const lines = new Set((await registry.metrics()).split('\n'));
  for (const line of [
    'connections_total{port="orders"} 3',
    'bytes_total{port="orders",direction="to_destination"} 7',
    'bytes_total{port="orders",direction="to_client"} 15',
    'client_resets_total{port="orders",cause="session"} 2',
    'client_resets_total{port="orders",cause="limit"} 1',
    'client_resets_total{port="orders",cause="drain"} 4',
    'dial_failures_total{code="DestinationRefused"} 1',
    'dial_duration_seconds_bucket{le="0.001"} 0',
    'dial_duration_seconds_bucket{le="0.005"} 2',
    'dial_duration_seconds_bucket{le="0.5"} 2',
    'dial_duration_seconds_bucket{le="1"} 3',
    'dial_duration_seconds_bucket{le="10"} 3',
    'dial_duration_seconds_bucket{le="+Inf"} 4',
    'dial_duration_seconds_sum 20.754',
    'dial_duration_seconds_count 4',
  ]) {
    assert(lines.has(`portforward_tunnel_${line}`), `${line} is not in\n${[...lines].join('\n')}`);
  }
});
