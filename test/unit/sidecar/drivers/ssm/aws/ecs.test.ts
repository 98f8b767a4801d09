import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { createEcsApi, type EcsApi } from '../../../../../../src/sidecar/drivers/ssm/aws/ecs.ts';
import { AwsFake, refusal } from './aws-fake.ts';

const { signal } = new AbortController();
const target = { cluster: 'shop', service: 'orders', container: 'app' };
const arn = 'arn:aws:ecs:eu-west-1:123456789012:task/shop/0123abcd';
let fake: AwsFake;
let ecs: EcsApi;

before(async () => {
  fake = await AwsFake.start();
  ecs = createEcsApi({
    policy: { region: 'eu-west-1', allowed: [fake.origin] },
    endpoint: fake.origin,
    credentials: async () => ({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }),
  });
});

after(async () => {
  ecs.close();
  await fake.stop();
});

beforeEach(() => {
  fake.asked.length = 0;
});

function answerWith(tasks: readonly unknown[], arns: readonly string[] = [arn]): void {
  fake.answer = ({ operation }) => ({
    body: JSON.stringify(operation.endsWith('ListTasks') ? { taskArns: arns } : { tasks, failures: [] }),
  });
}

test('the running tasks of the service are listed, then described, signed for ECS', async () => {
  const agent = { name: 'ExecuteCommandAgent', lastStatus: 'RUNNING' };
  answerWith([
    {
      taskArn: arn,
      lastStatus: 'RUNNING',
      enableExecuteCommand: true,
      containers: [{ name: 'log' }, { name: 'app', runtimeId: '0123abcd-77', managedAgents: [agent] }],
    },
    { taskArn: `${arn}0`, lastStatus: 'DEPROVISIONING', enableExecuteCommand: true, containers: [] },
    { taskArn: 'arn:aws:ecs:eu-west-1:123456789012:task/cdef', lastStatus: 'RUNNING', containers: [{ name: 'app' }] },
  ]);
  assert.deepEqual(await ecs.runningTasks(target, signal), [
    {
      cluster: 'shop',
      taskId: '0123abcd',
      execEnabled: true,
      containers: ['log', 'app'],
      runtimeId: '0123abcd-77',
      agentRuns: true,
    },
    {
      cluster: 'shop',
      taskId: 'cdef',
      execEnabled: false,
      containers: ['app'],
      runtimeId: undefined,
      agentRuns: false,
    },
  ]);
  assert.deepEqual(
    fake.asked.map(({ operation }) => operation.split('.')[1]),
    ['ListTasks', 'DescribeTasks'],
  );
  assert.deepEqual(JSON.parse(fake.asked[0]?.body ?? ''), {
    cluster: 'shop',
    serviceName: 'orders',
    desiredStatus: 'RUNNING',
    maxResults: 100,
  });
  assert.match(String(fake.asked[0]?.headers.authorization), /Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/ecs\//);
});

test('without a running task nothing is described', async () => {
  answerWith([], []);
  assert.deepEqual(await ecs.runningTasks(target, signal), []);
  assert.equal(fake.asked.length, 1);
});

test('an unknown cluster and a missing permission are reported by name, with the action', async () => {
  const cases = [
    [
      'ListTasks',
      'ClusterNotFoundException',
      'TargetNotFound',
      /does not know the cluster .*shop.*correct spec\.ssm\.target\.ecsTask/,
    ],
    ['ListTasks', 'ServiceNotFoundException', 'TargetNotFound', /does not know the service .*orders/],
    [
      'ListTasks',
      'AccessDeniedException',
      'AccessDenied',
      /lacks ecs:ListTasks for .*eu-west-1: add it to its IAM policy/,
    ],
    ['DescribeTasks', 'AccessDeniedException', 'AccessDenied', /lacks ecs:DescribeTasks/],
    ['DescribeTasks', 'ThrottlingException', 'Throttled', /throttles ecs:DescribeTasks in eu-west-1/],
  ] as const;
  for (const [failing, name, code, sentence] of cases) {
    fake.answer = ({ operation }) =>
      operation.endsWith(failing) ? refusal(name) : { body: JSON.stringify({ taskArns: [arn] }) };
    await assert.rejects(ecs.runningTasks(target, signal), (error) => {
      assert.ok(error instanceof TunnelError);
      assert.equal(error.code, code);
      assert.match(error.message, sentence);
      assert.doesNotMatch(error.message, /someone/);
      return true;
    });
  }
});

test('a service that accepts the request and never answers is given up after 10 s', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const told = new Promise<void>((resolve) => {
    fake.answer = () => {
      resolve();
      return undefined;
    };
  });
  const asked = ecs.runningTasks(target, signal);
  const outcome = asked.then(
    () => assert.fail('it answered'),
    (error: unknown) => error,
  );
  await told;
  t.mock.timers.tick(10_500);
  const error = await outcome;
  assert.ok(error instanceof TunnelError);
  assert.equal(error.code, 'ServiceFailed');
  assert.match(error.message, /ecs:ListTasks in eu-west-1 failed \(ETIMEDOUT\)/);
});
