// What the tunnel is told of the driver that a document names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePortForward } from '../../../../src/contract/api/parse.ts';
import { noPermissions } from '../../../../src/contract/permissions.ts';
import { podPlacement, tunnelConfigOf } from '../../../../src/contract/tunnel-config-of.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { type OpenedDriver, openDriver } from '../../../../src/sidecar/drivers/index.ts';

async function opened(ssh: object): Promise<OpenedDriver> {
  const parsed = parsePortForward({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'orders-db', namespace: 'shop' },
    spec: { ports: [{ port: 5432 }], ssh: { user: 'tunnel', bastions: [{ host: 'bastion' }], ...ssh } },
  });
  assert.ok(parsed.ok);
  const config = tunnelConfigOf(parsed.value, podPlacement(parsed.value.spec));
  const surroundings = {
    podUid: 'uid-1',
    log: silentLog(),
    budget: new ByteBudget(),
    environment: {},
    permissions: noPermissions,
  };
  const driver = await openDriver(config, surroundings);
  await driver.driver.close();
  return driver;
}

test('ssh: a dial has the connect timeout, an attempt has it for every hop of the way', async () => {
  const direct = await opened({ secretRef: { name: 's' }, connectTimeoutSeconds: 7 });
  assert.deepEqual([direct.connectTimeoutMs, direct.attemptTimeoutMs], [7_000, 7_000]);
  const behind = await opened({ secretRef: { name: 's' }, jumpHosts: [{ host: 'one' }, { host: 'two' }] });
  assert.deepEqual([behind.connectTimeoutMs, behind.attemptTimeoutMs], [10_000, 30_000]);
});
