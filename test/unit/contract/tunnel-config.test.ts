// The config as the sidecar reads it: what it accepts, and how it names what is wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../src/contract/errors.ts';
import { destinationText, parseTunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { sshConfig } from '../../support/ssh-config.ts';

const config = {
  version: 1,
  namespace: 'shop',
  name: 'orders-db',
  driver: 'ssh',
  forwards: [
    {
      name: 'p5432',
      port: 5432,
      listenPort: 5432,
      destination: { host: 'orders.db.internal', port: 5432 },
      appProtocol: 'postgresql',
      health: 'Active',
    },
  ],
  connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1000, drainTimeoutSeconds: 30 },
  healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
  ssh: sshConfig([{ host: 'bastion-a.example.com', port: 22, user: 'tunnel' }]),
};

test('a config survives the way through the environment', () => {
  assert.deepEqual(parseTunnelConfig(JSON.stringify(config)), config);
});

test('a field of a newer operator is ignored, so that versions may differ while an upgrade rolls out', () => {
  const newer = { ...config, surprise: true, ssh: { ...config.ssh, other: 1 } };
  assert.deepEqual(parseTunnelConfig(JSON.stringify(newer)), config);
});

test('each wrong field is named', () => {
  const wrong = { ...config, forwards: [{ ...config.forwards[0], port: 'x' }], connection: undefined };
  assert.throws(
    () => parseTunnelConfig(JSON.stringify(wrong)),
    (error) =>
      error instanceof TunnelError &&
      error.code === 'ConfigUnreadable' &&
      error.message.includes('forwards.0.port') &&
      error.message.includes('connection'),
  );
});

test('text that is not JSON is refused without being quoted', () => {
  assert.throws(
    () => parseTunnelConfig('{secret'),
    (error) => error instanceof TunnelError && error.code === 'ConfigUnreadable' && !error.message.includes('secret'),
  );
});

test('a config of another version is refused', () => {
  assert.throws(() => parseTunnelConfig(JSON.stringify({ ...config, version: 2 })), TunnelError);
});

test('destinations are written with brackets around IPv6 addresses, and sockets by their path', () => {
  assert.equal(destinationText({ host: 'orders.db.internal', port: 5432 }), 'orders.db.internal:5432');
  assert.equal(destinationText({ host: '::1', port: 5432 }), '[::1]:5432');
  assert.equal(destinationText({ socket: '/run/postgresql/.s.PGSQL.5432' }), '/run/postgresql/.s.PGSQL.5432');
});
