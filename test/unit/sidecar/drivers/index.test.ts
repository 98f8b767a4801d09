// What the tunnel is told of the driver that a document names.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { parsePortForward } from '../../../../src/contract/api/parse.ts';
import { noPermissions } from '../../../../src/contract/permissions.ts';
import { podPlacement, tunnelConfigOf } from '../../../../src/contract/tunnel-config-of.ts';
import { createLog, silentLog } from '../../../../src/process/log.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { type DriverSurroundings, type OpenedDriver, openDriver } from '../../../../src/sidecar/drivers/index.ts';
import { nativeCrypto } from '../../../../src/sidecar/drivers/ssh/base/ssh2-protocol.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';

async function opened(ssh: object, more: Partial<DriverSurroundings> = {}): Promise<OpenedDriver> {
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
    ...more,
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

test('ssh: the engine accepts clients only if the native crypto gives it the keys of sessions; else the log says why not', async (t) => {
  if (!nativeCrypto) return t.skip('ssh2’s native crypto is not built here');
  let said = '';
  const log = createLog({ destination: { write: (line) => void (said += line) } });
  const engine = new FakeEngine({ budget: new Float64Array(2), budgetTotal: 1 });
  const direct = { secretRef: { name: 's' } };
  assert.equal((await opened(direct, { engine, log })).carriesNatively, true);
  assert.equal((await opened({ ...direct, jumpHosts: [{ host: 'one' }] }, { engine, log })).carriesNatively, false);
  assert.equal(said, '');
  const { AESGCMCipher } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto/build/Release/sshcrypto.node') as {
    readonly AESGCMCipher: { readonly prototype: object };
  };
  const { key } = Object.getOwnPropertyDescriptors(AESGCMCipher.prototype) as { readonly key?: PropertyDescriptor };
  assert.ok(key !== undefined);
  Reflect.deleteProperty(AESGCMCipher.prototype, 'key');
  try {
    assert.equal((await opened(direct, { engine, log })).carriesNatively, false);
    assert.match(said, /gives it the keys.*there is no native data path/);
    assert.equal((await opened(direct)).carriesNatively, false);
  } finally {
    Object.defineProperty(AESGCMCipher.prototype, 'key', key);
  }
  return undefined;
});
