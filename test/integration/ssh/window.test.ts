// The window of a channel against a real sshd, near by and behind a proxy that takes connections at once and has 50 ms behind it: what counts
// is how far away sshd is, not who accepts the TCP connection.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../../../lab/base/eventually.ts';
import { startSshd } from '../../../lab/private-network/sshd.ts';
import { Child } from '../../../lab/process/child.ts';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { maxWindowBytes } from '../../../src/sidecar/drivers/ssh/channels/inbound-window.ts';
import { createSshDriver } from '../../../src/sidecar/drivers/ssh/driver.ts';
import { flood, serve } from '../../driver-suite/destinations.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { hopTo, SecretDirectory, userKey } from './ssh-world.ts';

/** Closes what a test opened, in reverse order. */
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const soon = (): AbortSignal => AbortSignal.timeout(30_000);

/** What a reader that has kept up with so many bytes, and then stops, holds of the budget. */
async function windowAfter(bytes: number, { addedMs }: { readonly addedMs: number }): Promise<ByteBudget> {
  const sshd = await startSshd();
  cleanups.push(() => sshd.stop());
  const key = await userKey(sshd);
  const port = addedMs === 0 ? sshd.port : await behind(sshd.port, addedMs);
  const name = `[${sshd.host}]:${port}`;
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts({ name }) });
  cleanups.push(() => secret[Symbol.dispose]());
  const budget = new ByteBudget();
  const log = silentLog();
  const driver = createSshDriver(sshConfig([hopTo({ host: sshd.host, port }, secret)]), {
    podUid: 'test',
    log,
    budget,
  });
  cleanups.push(() => driver.close());
  const [route] = await driver.routes({ signal: soon() });
  assert.ok(route);
  const session = await driver.connect(route, { signal: soon(), log });
  cleanups.push(() => session.close());
  const service = await serve(flood);
  cleanups.push(() => service.stop());
  const stream = await session.dial({ host: '127.0.0.1', port: service.port }, { signal: soon() });
  let received = 0;
  while (received < bytes) {
    const chunk: unknown = stream.read();
    if (Buffer.isBuffer(chunk)) received += chunk.length;
    else await once(stream, 'readable', { signal: soon() });
  }
  return budget;
}

async function behind(port: number, addedMs: number): Promise<number> {
  const script = fileURLToPath(new URL('../../bench/delay-proxy.ts', import.meta.url));
  const proxy = new Child('delay-proxy', process.execPath, [script, String(port), String(addedMs)]);
  cleanups.push(async () => await proxy.kill());
  return Number((await proxy.line(/^listening \d+$/)).split(' ')[1]);
}

describe('the window of a channel', () => {
  test('stays small with sshd near by, however much is read', async () => {
    const budget = await windowAfter(64 * 1024 * 1024, { addedMs: 0 });
    // 512 KiB; a busy machine answers later, and so looks farther away.
    assert.ok(budget.used <= maxWindowBytes / 2, `${budget.used}`);
  });

  test('is 8 MiB with sshd 50 ms away, although a proxy near by accepts at once', async () => {
    // The second grant of a stream brings it: 128 KiB are read within one round trip.
    const budget = await windowAfter(1024 * 1024, { addedMs: 50 });
    await eventually('the whole window is granted', () => budget.used > maxWindowBytes * 0.85);
    assert.ok(budget.used <= maxWindowBytes, `${budget.used}`);
  });
});
