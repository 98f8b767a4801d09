// What the config alone cannot allow: it is free text to whoever may write a Deployment (docs/security.md, rows F1, F3 and F4).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { noPermissions, type Permissions } from '../../../src/contract/permissions.ts';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { openDriver } from '../../../src/sidecar/drivers/index.ts';
import { type Bastion, startBastion, tunnelConfig } from './sidecar-world.ts';

let bastion: Bastion;
before(async () => {
  bastion = await startBastion();
});
after(() => bastion?.stop());

const surroundings = (permissions: Permissions) => ({
  podUid: 'uid-1',
  log: silentLog(),
  budget: new ByteBudget(),
  environment: {},
  permissions,
});

async function connect(permissions: Permissions): Promise<void> {
  const config = tunnelConfig([bastion.hop], { forwards: [{ port: 5432 }], ssh: { hostKeyPolicy: 'InsecureIgnore' } });
  const { driver } = await openDriver(config, surroundings(permissions));
  const call = { signal: AbortSignal.timeout(30_000), log: silentLog() };
  try {
    const [route] = await driver.routes(call);
    assert.ok(route);
    await (await driver.connect(route, call)).close();
  } finally {
    await driver.close();
  }
}

test('a config with InsecureIgnore is obeyed only with the argument that the operator gives', async () => {
  bastion.secret.remove('known_hosts');
  await assert.rejects(connect(noPermissions), { code: 'HostKeyUnknown' });
  await connect({ ...noPermissions, insecureHostKeys: true });
});

test('a config that names another address of AWS is obeyed only with the argument that the operator gives', async () => {
  const { driver: _, ssh: __, ...common } = tunnelConfig([bastion.hop], { forwards: [{ port: 5432 }] });
  const thief = 'https://thief.example.com';
  for (const service of ['ssm', 'sts', 'ecs']) {
    const config = {
      ...common,
      driver: 'ssm' as const,
      ssm: {
        region: 'eu-west-1',
        target: { instanceId: 'i-0abc' },
        sessions: 1,
        maxSessionMinutes: 0,
        endpoints: { ssm: '', ssmmessages: '', sts: '', ecs: '', [service]: thief },
        // As an older config had it.
        allowedEndpoints: [thief],
      },
    };
    await assert.rejects(openDriver(config, surroundings(noPermissions)), { code: 'EndpointNotAllowed' });
    const allowed = { ...noPermissions, awsEndpoints: [thief] };
    await (await openDriver(config, surroundings(allowed))).driver.close();
  }
});
