// The tunnel's config, as the environment of a pod has it. Neighbour: ../readers.ts.
import assert from 'node:assert/strict';
import { TunnelError } from '../../../src/contract/errors.ts';
import { parseTunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import type { Subject } from '../subject.ts';

const credentials = { secretName: 'orders-bastion', directory: '/run/secrets/orders' };
const common = {
  version: 1,
  namespace: 'shop',
  name: 'orders-db',
  forwards: [
    {
      name: 'p5432',
      port: 5432,
      listenPort: 5432,
      destination: { host: 'orders.db.internal', port: 5432 },
      appProtocol: 'postgresql',
      health: 'Active',
    },
    { name: 'local', port: 1, listenPort: 0, destination: { socket: '/run/s' }, appProtocol: 'tcp', health: 'Off' },
  ],
  connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1000, drainTimeoutSeconds: 30 },
  healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
};
const configs = [
  {
    ...common,
    driver: 'ssh',
    ssh: sshConfig([{ host: 'bastion-a.example.com', port: 22, user: 'tunnel', credentials }]),
  },
  {
    ...common,
    driver: 'ssm',
    ssm: {
      region: 'eu-west-1',
      target: { tags: { role: 'bastion' } },
      assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/tunnel', externalId: 'x' },
      sessions: 2,
      maxSessionMinutes: 0,
      endpoints: { ssm: '', ssmmessages: '', sts: '', ecs: '' },
    },
  },
  {
    ...common,
    driver: 'fly',
    fly: { app: 'orders', network: '', region: '', credentials, transport: 'Auto', directory: '' },
  },
];

const oddities: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e308,
  '',
  'x'.repeat(5000),
  '\0',
  [],
  {},
  [[]],
  '__proto__',
];

/** Puts an oddity somewhere into a valid document, which broken bytes hardly ever do. */
function oddity(text: string, random: () => number): string {
  const below = (limit: number): number => Math.floor(random() * limit);
  const places: (() => void)[] = [];
  const root: unknown = JSON.parse(text);
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const holder = value as Record<string, unknown>;
    for (const name of Object.keys(holder)) {
      places.push(() => {
        if (below(4) === 0) delete holder[name];
        else holder[name] = oddities[below(oddities.length)];
      });
      walk(holder[name]);
    }
  };
  walk(root);
  places[below(places.length)]?.();
  return JSON.stringify(root);
}

/** A config that is read is the same when it is written and read again; every other one is ConfigUnreadable. */
export const tunnelConfigs: Subject = {
  name: 'tunnel configs',
  seeds: configs.map((config) => Buffer.from(JSON.stringify(config))),
  holds(input, random) {
    const one = configs[Math.floor(random() * configs.length)];
    const text = random() < 0.5 ? oddity(JSON.stringify(one), random) : input.toString('utf8');
    try {
      const config = parseTunnelConfig(text);
      assert.deepEqual(parseTunnelConfig(JSON.stringify(config)), config);
      return true;
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error;
      assert.equal(error.code, 'ConfigUnreadable');
      return false;
    }
  },
};
