// How the driver ends: the removal of its peers and the end of its helper, at the same time. The helper is a script of this test.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../../../../../src/process/log.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import type { Trace } from '../../../../../src/sidecar/base/trace.ts';
import { createFlyDriver } from '../../../../../src/sidecar/drivers/fly/driver.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FlyApi } from '../../../../support/fly/fly-api.ts';

/** A driver whose helper answers its start alone and leaves a file when its input ends; and an API whose removals wait for the test. */
async function setting(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'pf-driver-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const helperEnded = join(directory, 'ended');
  const helperProgram = join(directory, 'helper');
  const script = `read -r line\necho '{"id":1}'\nwhile read -r line; do :; done\n: > '${helperEnded}'\n`;
  writeFileSync(helperProgram, `#!/bin/sh\n${script}`);
  chmodSync(helperProgram, 0o700);

  const removalAsked = Promise.withResolvers<void>();
  const removalDone = Promise.withResolvers<void>();
  const gateway = {
    publicKey: Buffer.alloc(32).toString('base64'),
    addPeer: async () => undefined,
    async removePeer() {
      removalAsked.resolve();
      await removalDone.promise;
    },
  };
  const api = await FlyApi.start(gateway, 'fdaa:0:18');
  t.after(async () => {
    removalDone.resolve();
    await api.stop();
  });

  const secret = join(directory, 'secret');
  mkdirSync(secret);
  writeFileSync(join(secret, 'FLY_API_TOKEN'), 'fo1_test');
  const clock = new FakeClock();
  const credentials = { secretName: 'fly', directory: secret };
  const driver = createFlyDriver(
    { app: 'orders-db', network: '', region: '', transport: 'UDP', directory, credentials },
    {
      namespace: 'test',
      name: 'orders-db',
      podUid: 'pod-1',
      log: silentLog(),
      budget: new ByteBudget(),
      helperProgram,
      apiUrl: api.url,
      environment: {},
      clock,
      gateways: { udp: 51_820, webSocket: 443, resolve: async () => '192.0.2.1' },
    },
  );
  return { driver, clock, api, helperEnded, removalAsked, removalDone };
}

test('the helper ends while the peers are being removed', { timeout: 60_000 }, async (t) => {
  const { driver, clock, api, helperEnded, removalAsked, removalDone } = await setting(t);
  const [route] = await driver.routes({ signal: t.signal });
  assert.ok(route !== undefined);
  const opening = Promise.withResolvers<void>();
  const trace: Trace = { begin: (step) => step === 'handshake' && opening.resolve(), note: () => undefined };
  const cancel = new AbortController();
  const attempt = driver.connect(route, { signal: cancel.signal, log: silentLog(), trace });
  await opening.promise;
  cancel.abort(new Error('nobody waits any more'));
  await assert.rejects(attempt, /nobody waits/);

  const closed = driver.close();
  // The helper does not answer that the device of the attempt is closed.
  await clock.advance(2_000);
  await removalAsked.promise;
  while (!existsSync(helperEnded)) await delay(5, undefined, { signal: t.signal });
  removalDone.resolve();
  await closed;
  assert.deepEqual(api.peers, []);
  assert.equal(clock.pending, 0);
});
