import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { leases, type ServiceAccount, serviceAccounts } from '../../../src/controller/kube/base/resources.ts';
import { Reflector } from '../../../src/controller/kube/cache/reflector.ts';
import { until } from '../../unit/controller/kube/scripted-server.ts';
import { type RealApi, startRealApi } from './real-api.ts';

const { signal } = new AbortController();
const timeout = 180_000;

let api: RealApi;
before(
  async () => {
    api = await startRealApi();
  },
  { timeout: 600_000 },
);
after(async () => await api[Symbol.asyncDispose]());

interface Candidate extends Disposable {
  readonly process: ChildProcess;
  readonly leading: Promise<void>;
  /** The exit code, once it has ended. */
  readonly ended: Promise<unknown>;
  readonly output: () => string;
}

function candidate(namespace: string, identity: string): Candidate {
  const program = new URL('candidate.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, api.server.kubeconfig, namespace, identity], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.ok(child.stdout);
  const lines: string[] = [];
  const leading = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (line === 'leading') leading.resolve();
  });
  return {
    process: child,
    leading: leading.promise,
    // Its last words have been read then, too.
    ended: once(child, 'close').then(([code]) => code as unknown),
    output: () => lines.join('\n'),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

/** Every writer that the API server saw, in order, one entry per run of writes. */
async function writersIn(namespace: string): Promise<{ order: string[] } & AsyncDisposable> {
  const stop = new AbortController();
  const reflector = new Reflector<ServiceAccount>({
    kube: api.admin.kube,
    resource: serviceAccounts,
    namespace,
    metrics: api.admin.metrics,
    log: api.admin.log,
  });
  const order: string[] = [];
  reflector.onChange(({ object }) => {
    const writer = object.metadata.annotations?.['writer'];
    if (writer !== undefined && order.at(-1) !== writer) order.push(writer);
  });
  const running = reflector.run(stop.signal);
  await reflector.waitForSync(signal, 30_000);
  return {
    order,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

test('a leader that is asked to stop hands over at once', { timeout }, async () => {
  const namespace = await api.namespace();
  await using writers = await writersIn(namespace);
  using a = candidate(namespace, 'a');
  await a.leading;
  using b = candidate(namespace, 'b');
  a.process.kill('SIGTERM');
  assert.equal(await a.ended, 0, a.output());
  await b.leading;
  const lease = await api.admin.kube.get(leases, { namespace, name: 'operator' }, { signal });
  assert.deepEqual([lease?.spec?.holderIdentity, lease?.spec?.leaseDurationSeconds], ['b', 15]);
  b.process.kill('SIGTERM');
  assert.equal(await b.ended, 0, b.output());
  const released = await api.admin.kube.get(leases, { namespace, name: 'operator' }, { signal });
  assert.equal(released?.spec?.holderIdentity ?? '', '');
  await until(() => writers.order.at(-1) === 'b');
  assert.deepEqual(writers.order, ['a', 'b']);
});

test('a leader that is killed is followed when its lease has run out', { timeout }, async () => {
  const namespace = await api.namespace();
  await using writers = await writersIn(namespace);
  using a = candidate(namespace, 'a');
  await a.leading;
  using b = candidate(namespace, 'b');
  a.process.kill('SIGKILL');
  await a.ended;
  await b.leading;
  b.process.kill('SIGTERM');
  await b.ended;
  await until(() => writers.order.at(-1) === 'b');
  assert.deepEqual(writers.order, ['a', 'b']);
  const lease = await api.admin.kube.get(leases, { namespace, name: 'operator' }, { signal });
  assert.equal(lease?.spec?.leaseTransitions, 1);
});

test('a leader that was paused past its lease writes nothing more and ends with an error', { timeout }, async () => {
  const namespace = await api.namespace();
  await using writers = await writersIn(namespace);
  using a = candidate(namespace, 'a');
  await a.leading;
  using b = candidate(namespace, 'b');
  a.process.kill('SIGSTOP');
  await b.leading;
  a.process.kill('SIGCONT');
  assert.equal(await a.ended, 1, a.output());
  assert.match(a.output(), /LeadershipLost/);
  b.process.kill('SIGTERM');
  assert.equal(await b.ended, 0, b.output());
  await until(() => writers.order.at(-1) === 'b');
  assert.deepEqual(writers.order, ['a', 'b'], 'the paused leader must not write between the new one’s writes');
});

test('a leader that cannot reach the API server gives up, and one that comes back in time does not', {
  timeout,
}, async () => {
  const namespace = await api.namespace();
  using a = candidate(namespace, 'a');
  await a.leading;
  api.server.pause();
  try {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  } finally {
    api.server.resume();
  }
  // Still the leader: its lease is renewed after the pause.
  const before = await api.admin.kube.get(leases, { namespace, name: 'operator' }, { signal });
  const renewed = async (): Promise<void> => {
    for (;;) {
      const lease = await api.admin.kube.get(leases, { namespace, name: 'operator' }, { signal });
      if (lease?.spec?.renewTime !== before?.spec?.renewTime) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await renewed();
  assert.equal(a.process.exitCode, null, a.output());
  const paused = performance.now();
  api.server.pause();
  try {
    assert.equal(await a.ended, 1, a.output());
    assert.match(a.output(), /could not be renewed/);
    // The renew deadline is 9 s; a frozen server must not be able to stretch it past the lease.
    assert.ok(performance.now() - paused < 15_000);
  } finally {
    api.server.resume();
  }
});
