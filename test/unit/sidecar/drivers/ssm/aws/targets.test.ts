import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import type { EcsApi, RunningTask } from '../../../../../../src/sidecar/drivers/ssm/aws/ecs.ts';
import { Targets, type TargetsOptions } from '../../../../../../src/sidecar/drivers/ssm/aws/targets.ts';
import { FakeClock } from '../../../../../support/fake-clock.ts';

const { signal } = new AbortController();
const tags = { tags: { Role: 'bastion' } };
const ecsTask = { cluster: 'shop', service: 'orders', container: 'app' };

class World {
  readonly clock = new FakeClock();
  readonly nodes = new Map<string, boolean | TunnelError>();
  tasks: RunningTask[] = [];
  readonly asked: string[] = [];
  readonly api: TargetsOptions['api'] = {
    findNodes: async () => [...this.nodes.keys()],
    isConnected: async (node) => {
      this.asked.push(node);
      const answer = this.nodes.get(node) ?? false;
      if (typeof answer !== 'boolean') throw answer;
      return answer;
    },
  };
  readonly ecs: EcsApi = { runningTasks: async () => this.tasks, close: () => undefined };

  targets(target: TargetsOptions['target'], podUid = 'uid'): Targets {
    return new Targets({ region: 'eu-west-1', target, api: this.api, ecs: this.ecs, podUid, clock: this.clock });
  }
}

/** The part of a session that targets watch. */
class Watched {
  readonly over = new AbortController();
  readonly signal = this.over.signal;
  suspect = false;
  #listener: () => void = () => undefined;

  onSuspectChange(listener: () => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  become(suspect: boolean): void {
    this.suspect = suspect;
    this.#listener();
  }
}

function task(taskId: string, more: Partial<RunningTask> = {}): RunningTask {
  const facts = { cluster: 'shop', taskId, execEnabled: true, containers: ['app', 'log'], agentRuns: true };
  return { ...facts, runtimeId: `${taskId}-1`, ...more };
}

test('a node that is not in use is asked about without a session; one that has lost its connection goes last', async () => {
  const world = new World();
  for (const node of ['i-a', 'i-b']) world.nodes.set(node, true);
  const targets = world.targets(tags);
  const [first, second] = await targets.routes(signal);
  assert(first !== undefined && second !== undefined);
  await targets.check(first, signal);
  world.nodes.set(first.via, false);
  await assert.rejects(
    targets.check(first, signal),
    (error) => error instanceof TunnelError && error.code === 'TargetNotConnected' && error.message.includes(first.via),
  );
  world.nodes.set(first.via, true);
  assert.deepEqual(await order(targets), [second.via, first.via]);
});

async function order(targets: Targets): Promise<string[]> {
  return (await targets.routes(signal)).map(({ via }) => via);
}

async function refusal(targets: Targets): Promise<TunnelError> {
  const error = await targets.routes(signal).then(
    () => assert.fail('there are routes'),
    (one: unknown) => one,
  );
  assert.ok(error instanceof TunnelError);
  return error;
}

test('an instance is its own route, without a call to AWS', async () => {
  const world = new World();
  assert.deepEqual(await world.targets({ instanceId: 'mi-0abc' }).routes(signal), [
    { via: 'mi-0abc', target: 'mi-0abc' },
  ]);
  assert.equal(world.asked.length, 0);
});

test('a node that failed goes last for ten minutes, or until it works again', async () => {
  const world = new World();
  for (const node of ['i-1', 'i-2', 'i-3']) world.nodes.set(node, true);
  const targets = world.targets(tags);
  const usual = await order(targets);
  const [first = '', second = '', third = ''] = usual;
  targets.failed({ via: first, target: first }, new TunnelError('TargetNotConnected', 'no'));
  assert.deepEqual(await order(targets), [second, third, first]);
  await world.clock.advance(60_000);
  const session = new Watched();
  targets.watch({ via: second, target: second }, session);
  session.become(true);
  assert.deepEqual(await order(targets), [third, first, second]);
  await world.clock.advance(9 * 60_000);
  assert.deepEqual(await order(targets), [first, third, second]);
  session.become(false);
  assert.deepEqual(await order(targets), usual);
  session.over.abort(new TunnelError('BastionLost', 'gone'));
  assert.deepEqual(await order(targets), [first, third, second]);
});

test('a failure that is not the node’s fault does not count against it', async () => {
  const world = new World();
  world.nodes.set('i-1', true).set('i-2', true);
  const targets = world.targets(tags);
  const usual = await order(targets);
  const first = { via: usual[0] ?? '', target: usual[0] ?? '' };
  for (const code of ['Throttled', 'AccessDenied', 'CredentialsExpired', 'ResumeDenied', 'NotConnected'] as const) {
    targets.failed(first, new TunnelError(code, 'no'));
  }
  targets.failed(first, new Error('given up'));
  assert.deepEqual(await order(targets), usual);
});

test('the service decides whether a node is connected, not the list; a node that cannot be asked is left out', async () => {
  const world = new World();
  const throttled = new TunnelError('Throttled', 'slow down');
  world.nodes.set('i-1', false).set('i-2', throttled).set('i-3', true);
  assert.deepEqual(await order(world.targets(tags)), ['i-3']);
  world.nodes.set('i-3', false);
  assert.equal(await refusal(world.targets(tags)), throttled);
  world.nodes.set('i-2', false);
  assert.match(
    (await refusal(world.targets(tags))).message,
    /no node with the tags Role=bastion is connected .*: start/,
  );
  world.nodes.clear();
  const none = await refusal(world.targets(tags));
  assert.equal(none.code, 'TargetNotFound');
  assert.match(
    none.message,
    /no managed node in eu-west-1 carries the tags Role=bastion: correct spec\.ssm\.target\.tags/,
  );
});

test('of very many nodes only some are asked whether they are connected', async () => {
  const world = new World();
  for (let node = 0; node < 300; node += 1) world.nodes.set(`i-${node}`, false);
  await refusal(world.targets(tags));
  assert.equal(world.asked.length, 20);
  for (const node of world.nodes.keys()) world.nodes.set(node, true);
  world.asked.length = 0;
  assert.equal((await order(world.targets(tags))).length, 4);
  assert.equal(world.asked.length, 4);
});

test('pods spread over nodes and tasks, and each keeps its order', async () => {
  const world = new World();
  for (const node of ['i-1', 'i-2', 'i-3']) world.nodes.set(node, true);
  world.tasks = [task('t1'), task('t2'), task('t3')];
  for (const target of [tags, { ecsTask }]) {
    const firsts = new Set<string>();
    for (let pod = 0; pod < 30; pod += 1) {
      const targets = world.targets(target, `pod-${pod}`);
      const before = await order(targets);
      world.tasks.reverse();
      assert.deepEqual(await order(targets), before);
      firsts.add(before[0] ?? '');
    }
    assert.equal(firsts.size, 3);
  }
});

test('a container is reached by cluster, task and runtime, and shown by a name that people find', async () => {
  const world = new World();
  world.tasks = [task('0123abcd'), task('4567', { agentRuns: false }), task('89ab', { runtimeId: undefined })];
  const targets = world.targets({ ecsTask });
  const routes = [{ via: 'shop/0123abcd/app', target: 'ecs:shop_0123abcd_0123abcd-1' }];
  assert.deepEqual(await targets.routes(signal), routes);
  // The task was replaced: the next call finds the new one.
  world.tasks = [task('fedc')];
  assert.deepEqual(await order(targets), ['shop/fedc/app']);
});

test('the reason why there is no container comes with the remedy', async () => {
  const world = new World();
  const targets = world.targets({ ecsTask });
  const cases: readonly (readonly [RunningTask[], string, RegExp])[] = [
    [[], 'TargetNotFound', /service orders of the cluster shop has no running task/],
    [[task('a', { execEnabled: false })], 'TargetNotFound', /ECS Exec is not enabled .* orders .*enableExecuteCommand/],
    [[task('a', { containers: ['web', 'log'] })], 'TargetNotFound', /has a container app; it has log, web/],
    [
      [task('a', { agentRuns: false })],
      'TargetNotConnected',
      /ExecuteCommandAgent does not run in the container app .*role/,
    ],
  ];
  for (const [tasks, code, sentence] of cases) {
    world.tasks = tasks;
    const error = await refusal(targets);
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
  }
});
