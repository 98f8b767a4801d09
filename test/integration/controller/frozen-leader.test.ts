// Two whole controllers as processes, each behind a proxy that sees what it asks: a leader that was frozen writes nothing once its lease has
// run out, one that is asked to stop hands over at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Child } from '../../../lab/process/child.ts';
import { deployments } from '../../../src/controller/kube/base/resources.ts';
import { type Asked, FaultyProxy } from './faulty-proxy.ts';
import { ordersDb, World } from './world.ts';

const main = join(import.meta.dirname, '../../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'portforward-frozen-'));

let world: World;

before(async () => {
  world = await World.start();
});

after(async () => {
  await world?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Replica extends AsyncDisposable {
  readonly process: Child;
  readonly proxy: FaultyProxy;
}

async function replica(name: string): Promise<Replica> {
  const proxy = await FaultyProxy.start(world.server);
  const kubeconfig = join(folder, name);
  proxy.writeKubeconfig(kubeconfig);
  const process = new Child(name, globalThis.process.execPath, [
    main,
    'controller',
    `--kubeconfig=${kubeconfig}`,
    '--tunnel-image=registry.example/portforward:test',
    '--operator-namespace=operator',
    `--pod-name=${name}`,
    '--admin-port=0',
  ]);
  return {
    process,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await process.kill();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

const isWrite = ({ method }: Asked): boolean => method !== 'GET';

const spec = (port: number) => ({
  ...ordersDb(),
  ports: [{ port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', destinationPort: port }],
});

/** Edits the document, and gives the seconds until its Deployment has the edit. */
async function edited(namespace: string, port: number): Promise<number> {
  const started = performance.now();
  await world.apply(namespace, 'orders-db', spec(port));
  await world.until(`the Deployment leads to ${port}`, async () => {
    const deployment = await world.get(deployments, namespace, 'pf-orders-db');
    return JSON.stringify(deployment?.spec?.template.spec?.containers[0]?.env ?? []).includes(`\\"port\\":${port}`);
  });
  return (performance.now() - started) / 1_000;
}

test('a frozen leader is followed, and writes nothing when it thaws; one that is asked to stop hands over', {
  timeout: 180_000,
}, async (t) => {
  const namespace = await world.namespace();
  await using first = await replica('first');
  await edited(namespace, 1_001);
  await using second = await replica('second');
  await world.until('the second watches', async () => second.proxy.take().some(({ isWatch }) => isWatch));

  first.process.signal('SIGSTOP');
  t.diagnostic(`frozen: the other acted after ${(await edited(namespace, 1_002)).toFixed(1)} s`);
  first.proxy.take();
  first.process.signal('SIGCONT');
  await world.until('the first ends', async () => first.process.end !== undefined);
  assert.deepEqual(first.proxy.take().filter(isWrite), [], 'it wrote after its lease ran out');
  await edited(namespace, 1_003);

  await using third = await replica('third');
  await world.until('the third watches', async () => third.proxy.take().some(({ isWatch }) => isWatch));
  second.process.signal('SIGTERM');
  t.diagnostic(`stopped: the other acted after ${(await edited(namespace, 1_004)).toFixed(1)} s`);
  await world.until('the second ends', async () => second.process.end !== undefined);
  assert.ok(third.proxy.take().some(isWrite));
});
