import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, ApiUnreachable } from '../../../../../src/controller/kube/base/api-error.ts';
import { kubeMetrics } from '../../../../../src/controller/kube/base/metrics.ts';
import type { Lease } from '../../../../../src/controller/kube/base/resources.ts';
import { Elector, LeadershipLost } from '../../../../../src/controller/kube/leaderelection/elector.ts';
import type { Kube } from '../../../../../src/controller/kube/rest/kube.ts';
import type { Call } from '../../../../../src/controller/kube/rest/transport.ts';
import { sleep } from '../../../../../src/process/clock.ts';
import { DeadlineExceeded } from '../../../../../src/process/deadline.ts';
import { silentLog } from '../../../../../src/process/log.ts';
import { Registry } from '../../../../../src/process/metrics.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

interface Door {
  readonly kube: Kube;
  state: 'open' | 'cut' | 'silent' | 'answers lost' | 'slow';
}

/** One lease with the API server's rules: a create meets what is there, a replace needs the present version. */
class LeaseBoard {
  lease: Lease | undefined;
  writes = 0;
  #version = 0;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  /** A way to the board for one candidate, which may be cut or go silent. */
  door(): Door {
    const pass = async <T>(call: Call, action: () => T): Promise<T> => {
      await Promise.resolve();
      if (door.state === 'cut') throw new ApiUnreachable('lease', new Error('refused'), false);
      if (door.state === 'silent') await this.#late(call);
      const result = action();
      if (door.state === 'answers lost') await this.#late(call);
      if (door.state === 'slow') await sleep(100, { signal: call.signal, clock: this.#clock });
      return result;
    };
    const kube = {
      get: async (_: unknown, __: unknown, call: Call) => await pass(call, () => this.lease),
      create: async (_: unknown, lease: Lease, call: Call) =>
        await pass(call, () => {
          if (this.lease !== undefined) throw new ApiError('POST lease', 409, { reason: 'AlreadyExists' });
          return this.#store(lease);
        }),
      replace: async (_: unknown, lease: Lease, call: Call) =>
        await pass(call, () => {
          if (this.lease?.metadata.resourceVersion !== lease.metadata.resourceVersion) {
            throw new ApiError('PUT lease', 409, { reason: 'Conflict' });
          }
          return this.#store(lease);
        }),
    };
    const door: Door = { kube: kube as unknown as Kube, state: 'open' };
    return door;
  }

  async #late({ signal, deadlineMs = 0 }: Call): Promise<never> {
    await sleep(deadlineMs, { signal, clock: this.#clock });
    throw new DeadlineExceeded('no answer');
  }

  #store(lease: Lease): Lease {
    this.writes += 1;
    this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++this.#version) } };
    return this.lease;
  }
}

const account = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'portforward', uid: 'uid-of-the-account' };

function candidateOf(board: LeaseBoard, clock: FakeClock, identity: string) {
  const door = board.door();
  const registry = new Registry();
  const elector = new Elector({
    kube: door.kube,
    lease: { namespace: 'ns', name: 'controller' },
    identity,
    owner: account,
    metrics: kubeMetrics(registry),
    log: silentLog(),
    clock,
    random: () => 0,
  });
  const stop = new AbortController();
  const work = { started: 0, aborted: undefined as unknown, end: Promise.withResolvers<void>() };
  const lead = async (signal: AbortSignal): Promise<void> => {
    work.started += 1;
    signal.addEventListener('abort', () => {
      work.aborted = signal.reason;
    });
    await work.end.promise;
  };
  let outcome: unknown = 'running';
  const running = elector.run(lead, stop.signal).then(
    () => {
      outcome = 'ended';
    },
    (error: unknown) => {
      outcome = error;
    },
  );
  return { elector, door, stop, work, registry, running, outcome: () => outcome };
}

function setUp(...identities: string[]) {
  const clock = new FakeClock();
  const board = new LeaseBoard(clock);
  return { clock, board, candidates: identities.map((identity) => candidateOf(board, clock, identity)) };
}

test('the first to come leads, the second waits, and only one write is made per renewal', async () => {
  const { clock, board, candidates } = setUp('a', 'b');
  const [a, b] = candidates;
  assert.ok(a && b);
  await clock.advance(60_000);
  assert.deepEqual([a.work.started, b.work.started, board.holder], [1, 0, 'a']);
  assert.deepEqual([a.elector.validFor(0), b.elector.validFor(0), b.elector.holder], [true, false, 'a']);
  assert.equal(board.writes, 1 + 60_000 / 2_000);
  assert.equal(board.lease?.spec?.leaseTransitions, 0);
  assert.equal(board.lease?.spec?.acquireTime, '2026-01-01T00:00:00.000000Z');
  assert.equal(board.lease?.spec?.renewTime, '2026-01-01T00:01:00.000000Z');
  assert.match(await a.registry.metrics(), /^leader_election_master_status\{name="controller"\} 1$/m);
});

test('the lease goes with its owner, also one that was made without', async () => {
  const { clock, board, candidates } = setUp('a', 'b');
  const [a] = candidates;
  await clock.advance(1_000);
  assert.deepEqual(board.lease?.metadata.ownerReferences, [account]);
  assert.ok(a && board.lease);
  const { ownerReferences: _, ...metadata } = board.lease.metadata;
  board.lease = { ...board.lease, metadata };
  // Its holder stops renewing what it last read.
  a.door.state = 'cut';
  await clock.advance(30_000);
  assert.equal(board.holder, 'b');
  assert.deepEqual(board.lease.metadata.ownerReferences, [account]);
});

test('stopping waits for the work, renewing meanwhile, then releases so that the next leads at once', async () => {
  const { clock, board, candidates } = setUp('a', 'b');
  const [a, b] = candidates;
  assert.ok(a && b);
  await clock.advance(5_000);
  a.stop.abort(new Error('stopping'));
  await clock.advance(30_000);
  assert.deepEqual([board.holder, String(a.work.aborted), a.outcome()], ['a', 'Error: stopping', 'running']);
  assert.ok(a.elector.validFor(5_000));
  a.work.end.resolve();
  await settle();
  await clock.advance(2_400);
  assert.deepEqual([a.outcome(), board.holder, b.work.started], ['ended', 'b', 1]);
  assert.equal(board.lease?.spec?.leaseTransitions, 1);
  assert.equal(a.elector.validFor(0), false);
});

test('the lease is released though the work ends while a renewal is under way', async () => {
  for (const end of ['resolve', 'reject'] as const) {
    const { clock, board, candidates } = setUp('a');
    const [a] = candidates;
    assert.ok(a);
    await clock.advance(1_000);
    a.door.state = 'slow';
    await clock.advance(1_050);
    assert.equal(board.writes, 2, 'the second renewal is stored and not answered yet');
    a.work.end[end](undefined);
    await clock.advance(300);
    assert.notEqual(a.outcome(), 'running');
    assert.equal(board.holder, '');
    assert.equal(clock.pending, 0);
  }
});

test('a leader that vanishes is followed within 20 s, and never before its lease has run out', async () => {
  const { clock, candidates } = setUp('a', 'b');
  const [a, b] = candidates;
  assert.ok(a && b);
  await clock.advance(10_000);
  // As if killed: the process neither renews nor releases, and we stop looking at it.
  a.door.state = 'cut';
  let validUntil = 0;
  while (b.work.started === 0) {
    if (a.elector.validFor(0)) validUntil = clock.now();
    await clock.advance(100);
    assert.ok(clock.now() < 10_000 + 20_000);
  }
  assert.ok(validUntil < clock.now(), 'two leaders at once');
});

test('a leader that cannot renew gives up after the renew deadline, before anybody else can lead', async () => {
  for (const state of ['cut', 'silent', 'answers lost'] as const) {
    const { clock, candidates } = setUp('a');
    const [a] = candidates;
    assert.ok(a);
    await clock.advance(9_000);
    const lastClaim = 8_000;
    a.door.state = state;
    while (a.outcome() === 'running') {
      await clock.advance(100);
      assert.ok(clock.now() <= lastClaim + 12_000, `${state}: still leading at ${clock.now()}`);
    }
    assert.ok(clock.now() >= lastClaim + 9_900, `${state}: gave up at ${clock.now()}`);
    assert.ok(a.outcome() instanceof LeadershipLost);
    assert.equal(a.work.aborted, a.outcome());
    assert.match(await a.registry.metrics(), /^leader_election_master_status\{name="controller"\} 0$/m);
  }
});

test('a short outage of the API server is survived', async () => {
  const { clock, candidates } = setUp('a');
  const [a] = candidates;
  assert.ok(a);
  await clock.advance(5_000);
  a.door.state = 'cut';
  await clock.advance(7_000);
  a.door.state = 'open';
  await clock.advance(60_000);
  assert.deepEqual([a.work.started, a.outcome(), a.elector.validFor(5_000)], [1, 'running', true]);
});

test('a leader that finds another in its lease gives up at once', async () => {
  const { clock, board, candidates } = setUp('a');
  const [a] = candidates;
  assert.ok(a);
  await clock.advance(5_000);
  const thief = board.door().kube;
  assert.ok(board.lease);
  const stolen = { ...board.lease, spec: { ...board.lease.spec, holderIdentity: 'thief' } };
  await thief.replace<Lease>({} as never, stolen, { signal: a.stop.signal });
  await clock.advance(2_000);
  assert.ok(a.outcome() instanceof LeadershipLost);
  assert.match(String(a.outcome()), /thief holds the lease/);
  assert.equal(board.holder, 'thief');
});

test('the fence closes while leadership is still ours but too short for a write', async () => {
  const { clock, candidates } = setUp('a');
  const [a] = candidates;
  assert.ok(a);
  const fence = a.elector.fence(5_000);
  assert.throws(fence, LeadershipLost);
  await clock.advance(4_000);
  fence();
  a.door.state = 'cut';
  await clock.advance(9_000);
  fence();
  await clock.advance(900);
  assert.equal(a.elector.validFor(0), true);
  await clock.advance(100);
  assert.throws(fence, LeadershipLost);
});

test('how far another’s clock is off does not matter', async () => {
  const { clock, board, candidates } = setUp('b');
  const [b] = candidates;
  assert.ok(b);
  b.stop.abort();
  const far = board.door().kube;
  const record = {
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    leaseTransitions: 3,
    renewTime: '1999-01-01T00:00:00.000000Z',
  };
  await clock.advance(10_000);
  if (board.lease === undefined) {
    await far.create<Lease>(
      {} as never,
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: 'controller', namespace: 'ns' },
        spec: record,
      },
      { signal: new AbortController().signal },
    );
  } else {
    await far.replace<Lease>({} as never, { ...board.lease, spec: record }, { signal: new AbortController().signal });
  }
  const c = candidateOf(board, clock, 'c');
  await clock.advance(14_000);
  assert.equal(c.work.started, 0, 'an old renewTime alone proves nothing');
  await clock.advance(4_000);
  assert.equal(c.work.started, 1);
  assert.equal(board.lease?.spec?.leaseTransitions, 4);
});

test('work that ends by itself releases the lease and passes its error on', async () => {
  const { clock, board, candidates } = setUp('a');
  const [a] = candidates;
  assert.ok(a);
  await clock.advance(1_000);
  a.work.end.reject(new Error('a bug'));
  await a.running;
  assert.deepEqual([String(a.outcome()), board.holder], ['Error: a bug', '']);
  assert.equal(clock.pending, 0);
});

test('a candidate that is stopped while it waits ends without leading', async () => {
  const { clock, candidates } = setUp('a', 'b');
  const [a, b] = candidates;
  assert.ok(a && b);
  await clock.advance(5_000);
  b.stop.abort(new Error('stopping'));
  await b.running;
  assert.deepEqual([b.outcome(), b.work.started], ['ended', 0]);
});

test('timings that could make two leaders are refused', () => {
  const options = { kube: {} as Kube, lease: { namespace: 'ns', name: 'x' }, identity: 'a', log: silentLog() };
  for (const timings of [
    { leaseDurationMs: 10_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 },
    { leaseDurationMs: 15_000, renewDeadlineMs: 2_000, retryPeriodMs: 2_000 },
  ]) {
    assert.throws(() => new Elector({ ...options, metrics: kubeMetrics(new Registry()), timings }), RangeError);
  }
});
