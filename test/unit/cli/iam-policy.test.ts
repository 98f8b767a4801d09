// The printed policies against the calls that the driver really makes: these are allowed and no others, and nothing that somebody else
// might do with the same keys.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Holder, type Policy, partitionOf, permissions } from '../../../src/cli/iam-policy.ts';
import { parsePortForward } from '../../../src/contract/api/parse.ts';
import type { PortForward } from '../../../src/contract/api/portforward.ts';
import type { SsmConfig } from '../../../src/contract/tunnel-config.ts';
import { tunnelConfigOf } from '../../../src/contract/tunnel-config-of.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { createSsmApi } from '../../../src/sidecar/drivers/ssm/aws/api.ts';
import type { Action } from '../../../src/sidecar/drivers/ssm/aws/aws-reasons.ts';
import { createIdentity } from '../../../src/sidecar/drivers/ssm/aws/identity.ts';
import { createSsmDriver } from '../../../src/sidecar/drivers/ssm/driver.ts';
import { corpus } from '../../corpus/corpus.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { silentLog } from '../sidecar/drivers/ssm/silent-log.ts';
import { AwsRecorder, ownKey, type Recorded } from './aws-recorder.ts';
import { allows, type Question } from './iam-evaluator.ts';

/** Every action whose denial the driver can report, and the kind of policy that allows it. Add a new one here and to the policy. */
const known: Readonly<Record<Action, 'permissions' | 'trust'>> = {
  'ssm:StartSession': 'permissions',
  'ssm:ResumeSession': 'permissions',
  'ssm:TerminateSession': 'permissions',
  'ssm:DescribeSessions': 'permissions',
  'ssm:DescribeInstanceInformation': 'permissions',
  'ssm:GetConnectionStatus': 'permissions',
  'ssmmessages:OpenDataChannel': 'permissions',
  'ecs:ListTasks': 'permissions',
  'ecs:DescribeTasks': 'permissions',
  'sts:AssumeRole': 'permissions',
  'sts:AssumeRoleWithWebIdentity': 'trust',
};

const account = '123456789012';
const signal = AbortSignal.timeout(60_000);
const recorder = new AwsRecorder();
let directory: string;

interface Example {
  readonly name: string;
  readonly portForward: PortForward;
  readonly policies: Partial<Record<Holder, Policy>>;
}

const spec = (ssm: object, ports: readonly object[] = [{ port: 5432 }]) => ({
  apiVersion: 'portforward.dev/v1alpha1',
  kind: 'PortForward',
  metadata: { name: 'orders-db' },
  spec: { ports, ssm },
});
const tagged = { region: 'eu-west-1', target: { tags: { Role: 'bastion' } } };
const role = `arn:aws:iam::${account}:role/tunnel`;

const examples: readonly Example[] = [
  ...corpus('good').map(({ name, document }) => ({ name, document })),
  { name: 'tags, Pod Identity', document: spec(tagged) },
  { name: 'tags, IRSA', document: spec({ ...tagged, irsaRoleArn: role }) },
  { name: 'tags, a user’s keys', document: spec({ ...tagged, secretRef: { name: 'aws' } }) },
  {
    name: 'IRSA, then a role without tags',
    document: spec({ ...tagged, irsaRoleArn: role, assumeRole: { roleArn: `${role}-other` } }),
  },
  {
    name: 'both documents',
    document: spec(tagged, [
      { port: 5432, destinationHost: 'db.internal' },
      { port: 6379, destinationHost: '127.0.0.1' },
    ]),
  },
].flatMap(({ name, document }) => {
  const parsed = parsePortForward(document);
  assert.ok(parsed.ok, name);
  const { ssm } = parsed.value.spec;
  return ssm === undefined
    ? []
    : [{ name, portForward: parsed.value, policies: permissions(parsed.value, ssm, account) }];
});

/** The driver's calls to AWS for the document, and those after a session was open. */
async function callsOf(portForward: PortForward): Promise<readonly Recorded[]> {
  const { ssm } = portForward.spec;
  assert.ok(ssm);
  const { origin } = recorder;
  const allowedEndpoints = [origin];
  const config = tunnelConfigOf(portForward, {
    directoryOf: () => directory,
    listenPortOf: () => 0,
    memoryDirectory: '',
  });
  assert.ok(config.driver === 'ssm');
  const here: SsmConfig = { ...config.ssm, endpoints: { ssm: origin, ssmmessages: origin, sts: origin, ecs: origin } };
  const environment = environmentOf(ssm);
  recorder.begin({
    partition: partitionOf(ssm.region),
    region: ssm.region,
    account,
    tags: ssm.target.tags ?? {},
    container: ssm.target.ecsTask?.container ?? '',
    caller: ssm.secretRef === undefined ? 'eks-shop-pf-orders-db-7c9d-0f1e' : 'tunnel-user',
  });
  for (const { destination } of config.forwards) {
    const driver = createSsmDriver(here, {
      allowedEndpoints,
      destinations: [destination],
      persistent: true,
      drainTimeoutMs: 30_000,
      reason: 'portforward/shop/orders-db/uid',
      podUid: 'uid',
      log: silentLog,
      budget: new ByteBudget(),
      environment,
      random: () => 0,
    });
    for (const route of await driver.routes({ signal })) {
      await assert.rejects(driver.connect(route, { signal, log: silentLog }), /data channel was refused/);
    }
    await driver.close();
  }
  const policy = { region: ssm.region, allowed: allowedEndpoints };
  const credentials = createIdentity(here, { policy, environment, sessionName: 'portforward-uid' });
  const api = createSsmApi({ policy, endpoint: origin, credentials });
  const started = recorder.calls.find(({ action }) => action === 'ssmmessages:OpenDataChannel');
  const sessionId = started?.resource.split('/').at(-1) ?? '';
  await api.activeSessions(undefined, signal);
  await api.resumeSession(sessionId, signal);
  await api.terminateSession(sessionId, signal);
  api.close();
  return [...recorder.calls];
}

/** What a cluster adds to the pod: Pod Identity if the document names no role and no keys. */
function environmentOf({ irsaRoleArn }: NonNullable<PortForward['spec']['ssm']>): Record<string, string> {
  return irsaRoleArn === ''
    ? {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${recorder.origin}/pod-identity`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(directory, 'token'),
      }
    : { AWS_WEB_IDENTITY_TOKEN_FILE: join(directory, 'token'), AWS_ROLE_ARN: irsaRoleArn };
}

suite('policies', () => {
  before(async () => {
    await recorder.start();
    directory = mkdtempSync(join(tmpdir(), 'portforward-iam-'));
    for (const [name, text] of [
      ['AWS_ACCESS_KEY_ID', ownKey],
      ['AWS_SECRET_ACCESS_KEY', 'secret'],
      ['token', 'token'],
    ] as const) {
      writeFileSync(join(directory, name), text);
    }
  });
  after(async () => {
    await recorder.stop();
    rmSync(directory, { recursive: true });
  });

  for (const { name, portForward, policies } of examples) {
    test(`${name}: exactly what the driver calls is allowed`, async () => {
      const calls = await callsOf(portForward);
      const denied = calls.filter((call) => {
        const policy = policies[call.by];
        return policy === undefined || !allows(policy, call);
      });
      assert.deepEqual(denied, []);
      const called = new Set(calls.map(({ by, action }) => `${by} ${action}`));
      const allowed = Object.entries(policies).flatMap(([by, policy]) =>
        policy.Statement.flatMap(({ Action }) => Action.map((action) => `${by} ${action}`)),
      );
      // EKS itself passes the tags of Pod Identity on.
      const later = /sts:TagSession$/;
      assert.deepEqual(
        [...new Set(allowed)].filter((each) => !called.has(each) && !later.test(each)),
        [],
      );
    });
  }

  const tags = exampleOf('tags, IRSA');
  const start = (resource: string, context: Question['context'] = {}): Question => ({
    action: 'ssm:StartSession',
    resource,
    context: { 'ssm:SessionDocumentAccessCheck': 'true', ...context },
  });
  const instance = `arn:aws:ec2:eu-west-1:${account}:instance/i-0abc`;
  const session = `arn:aws:ssm:eu-west-1:${account}:session`;
  const bastion = { 'ssm:resourceTag/Role': 'bastion' };
  const others: Readonly<Record<string, Question>> = {
    'a node without the tag': start(instance),
    'a node with another value of the tag': start(instance, { 'ssm:resourceTag/Role': 'web' }),
    'a node of another account': start(instance.replace(account, '210987654321'), bastion),
    'a node of another region': start(instance.replace('eu-west-1', 'us-east-1'), bastion),
    'a shell, which is a session without a document': start(instance, {
      ...bastion,
      'ssm:SessionDocumentAccessCheck': 'false',
    }),
    'another document': start('arn:aws:ssm:eu-west-1::document/AWS-StartSSHSession'),
    'the document that no port needs': start(
      'arn:aws:ssm:eu-west-1::document/AWS-StartPortForwardingSessionToRemoteHost',
    ),
    'another’s session': { action: 'ssm:ResumeSession', resource: `${session}/jane-0a1b2c3d`, context: {} },
    'a command': { action: 'ssm:SendCommand', resource: instance, context: bastion },
  };
  for (const [what, question] of Object.entries(others)) {
    test(`${what} is not allowed`, () => assert.ok(!allows(tags, question)));
  }

  test('the evaluator allows the calls from which these refusals differ in one detail', () => {
    assert.ok(allows(tags, start(instance, bastion)));
    assert.ok(allows(tags, start('arn:aws:ssm:eu-west-1::document/AWS-StartPortForwardingSession')));
    assert.ok(
      allows(tags, { action: 'ssm:ResumeSession', resource: `${session}/portforward-0a1b-0a1b2c3d`, context: {} }),
    );
  });

  test('all policies together allow the actions that the driver knows, and no other', () => {
    const actions = examples.flatMap(({ policies }) =>
      Object.values(policies).flatMap(({ Statement }) => Statement.flatMap(({ Action }) => Action)),
    );
    const expected = Object.entries(known).flatMap(([action, kind]) => (kind === 'permissions' ? [action] : []));
    assert.deepEqual([...new Set(actions)].toSorted(), [...expected, 'sts:TagSession'].toSorted());
  });

  test('the longest policy fits into a role, and names of statements are what IAM takes', () => {
    const long = (letter: string, length: number): string => letter.repeat(length);
    const keys = Array.from({ length: 5 }, (_, index) => [`${index}${long('k', 127)}`, long('v', 256)]);
    const document = spec({ ...tagged, target: { tags: Object.fromEntries(keys) } }, [
      { port: 1 },
      { port: 2, destinationHost: 'db.internal' },
    ]);
    const parsed = parsePortForward(document);
    assert.ok(parsed.ok && parsed.value.spec.ssm);
    const longest = permissions(parsed.value, parsed.value.spec.ssm, account);
    for (const policies of [longest, ...examples.map((each) => each.policies)]) {
      for (const policy of Object.values(policies)) {
        // IAM does not count white space.
        assert.ok(JSON.stringify(policy).length <= 10_240);
        const names = policy.Statement.map(({ Sid }) => Sid);
        assert.equal(new Set(names).size, names.length);
        assertEvery(names, (name) => /^[A-Za-z0-9]+$/.test(name), 'an identifier that IAM takes');
      }
    }
  });

  test('the partition follows from the region', () => {
    const regions = ['eu-west-1', 'cn-north-1', 'us-gov-west-1', 'eusc-de-east-1', 'us-iso-east-1', 'us-isob-east-1'];
    assert.deepEqual(regions.map(partitionOf), ['aws', 'aws-cn', 'aws-us-gov', 'aws-eusc', 'aws-iso', 'aws-iso-b']);
  });
});

function exampleOf(name: string): Policy {
  const policy = examples.find((each) => each.name === name)?.policies.tunnel;
  assert.ok(policy, name);
  return policy;
}
