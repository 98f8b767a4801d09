// One local port with a client, and a destination in memory.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { ConnectionShares } from '../../../../src/sidecar/clients/connection-shares.ts';
import { Listener, type ResetCause } from '../../../../src/sidecar/clients/listener.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { orders } from '../tunnel/memory-driver.ts';

test('a client that the drain resets is counted once, although its session ends at the same time', async () => {
  const session = new AbortController();
  const resets: ResetCause[] = [];
  const dialled = Promise.withResolvers<void>();
  const listener = await Listener.open({
    forward: orders,
    address: '127.0.0.1',
    dial: async () => {
      dialled.resolve();
      const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
      return { stream, signal: session.signal, via: 'a:22' };
    },
    optimisticDials: false,
    onDial: () => undefined,
    connections: new ConnectionShares(1, [orders.name], new FakeClock()),
    budget: new ByteBudget(),
    log: silentLog(),
    observer: {
      accepted: () => undefined,
      traffic: () => ({ toDestination: 0, toClient: 0 }),
      reset: (_forward, cause) => void resets.push(cause),
    },
  });
  const client = connect(listener.address.port, '127.0.0.1');
  client.on('error', () => undefined);
  await Promise.all([once(client, 'connect'), dialled.promise]);
  const closed = listener.close();
  session.abort(new TunnelError('NotConnected', 'the tunnel is stopping'));
  await closed;
  assert.deepEqual(resets, ['drain']);
});
