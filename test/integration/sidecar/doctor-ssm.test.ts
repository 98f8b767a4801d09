// `doctor` through Session Manager names the step that is at fault: one world for each step of the way.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import type { Code } from '../../../src/contract/errors.ts';
import { closedPort, echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { SessionManager, type Switches } from '../../support/ssm/session-manager.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { type ForwardOptions, type SsmTunnelConfig, ssmTunnelConfig } from './sidecar-world.ts';
import { onlyFault, outline, walk } from './walk.ts';

const node = 'i-0123456789abcdef0';
let manager: SessionManager;
let secret: SecretDirectory;
let echoing: Service;

before(async () => {
  [manager, echoing] = await Promise.all([SessionManager.start(), serve(echo)]);
  const { accessKeyId, secretAccessKey } = manager.credentials;
  secret = new SecretDirectory({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
});
afterEach(() => manager.set({ Errors: {}, KMS: false, AgentVersion: '3.3.4108.0', ClockMs: 0 }));
after(async () => {
  await echoing.stop();
  await manager.stop();
  secret[Symbol.dispose]();
});

type Ssm = Partial<SsmTunnelConfig['ssm']>;

const way = async (forwards: readonly ForwardOptions[], ssm: Ssm = {}, from: SecretDirectory = secret) =>
  await walk(ssmTunnelConfig(manager, from, { forwards, ssm }));

test('a way that works is walked from the identity to the destination, and its session is ended', async () => {
  const second = await serve(echo);
  const steps = await way([
    { name: 'one', port: echoing.port },
    { name: 'two', port: second.port },
  ]);
  await second.stop();
  const on = `node ${node}`;
  const ports = [`port one: 127.0.0.1:${echoing.port}`, `port two: 127.0.0.1:${second.port}`];
  assert.deepEqual(
    steps.map(({ at, step, ok }) => `${step} at ${at}${ok ? '' : ' failed'}`),
    [
      'identity at AWS eu-west-1',
      'target at AWS eu-west-1',
      ...['start session', 'data channel', 'agent', 'resume', 'session'].map((step) => `${step} at ${on}`),
      ...ports.map((port) => `dial at ${port}`),
    ],
    outline(steps),
  );
  const seen = (step: string): string => steps.find((one) => one.step === step)?.facts.join('\n') ?? '';
  assert.equal(seen('identity'), 'keys of Secret aws');
  assert.equal(seen('target'), node);
  assert.match(seen('agent'), /^version “3\.3\.\d+\.0”$/);
  await eventually('no session is left', async () => (await manager.seen()).sessions.length === 0);
  const { calls, complaints } = await manager.seen();
  assert.ok((calls['StartSession'] ?? 0) >= 2, 'a session for each port');
  assert.equal(complaints, null);
});

const denied = (action: string, status = 400): Switches => ({
  Errors: {
    [action.split(':')[1] ?? '']: {
      Type: 'AccessDeniedException',
      Status: status,
      Message: `User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: ${action}`,
    },
  },
});

interface World {
  readonly step: string;
  readonly code: Code;
  readonly ssm?: Ssm;
  readonly switches?: Switches;
  readonly keys?: Readonly<Record<string, string>>;
}

const tags = { target: { tags: { Role: 'bastion' } } };

const worlds: Readonly<Record<string, World>> = {
  'no key in the Secret': { step: 'identity', code: 'SecretNotFound', keys: {} },
  'half a key in the Secret': { step: 'identity', code: 'SecretKeyMissing', keys: { AWS_ACCESS_KEY_ID: 'AKIDX' } },
  'an unknown key': {
    step: 'start session',
    code: 'CredentialsRefused',
    keys: { AWS_ACCESS_KEY_ID: 'AKIDUNKNOWN', AWS_SECRET_ACCESS_KEY: 'x' },
  },
  'the look-up of nodes is denied': {
    step: 'target',
    code: 'AccessDenied',
    ssm: tags,
    switches: denied('ssm:DescribeInstanceInformation'),
  },
  'no node with the tag': { step: 'target', code: 'TargetNotFound', ssm: { target: { tags: { Role: 'nobody' } } } },
  'the start is denied': { step: 'start session', code: 'AccessDenied', switches: denied('ssm:StartSession') },
  'a node that is not connected': {
    step: 'start session',
    code: 'TargetNotConnected',
    ssm: { target: { instanceId: 'i-0000000000000dead' } },
  },
  'no such document': {
    step: 'start session',
    code: 'DocumentUnknown',
    switches: { Errors: { StartSession: { Type: 'InvalidDocument', Message: 'Document does not exist.' } } },
  },
  'a limited rate': {
    step: 'start session',
    code: 'Throttled',
    switches: { Errors: { StartSession: { Type: 'ThrottlingException', Message: 'Rate exceeded' } } },
  },
  'clocks that differ': { step: 'start session', code: 'ClockSkew', switches: { ClockMs: 600_000 } },
  'the data channel is denied': {
    step: 'data channel',
    code: 'AccessDenied',
    switches: denied('ssmmessages:OpenDataChannel', 403),
  },
  'encryption by a key of KMS': { step: 'agent', code: 'EncryptionDemanded', switches: { KMS: true } },
  'the resume is denied': { step: 'resume', code: 'ResumeDenied', switches: denied('ssm:ResumeSession') },
};

for (const [title, { step, code, ssm, switches = {}, keys }] of Object.entries(worlds)) {
  test(`${title}: the fault is ${code} at ${step}`, async () => {
    using own = keys === undefined ? undefined : new SecretDirectory(keys);
    await manager.set(switches);
    const steps = await way([{ name: 'echo', port: echoing.port }], ssm, own ?? secret);
    const { advice = [] } = onlyFault(steps, step, code);
    assert.match(advice[0]?.command ?? '', /^(aws .* --region eu-west-1|kubectl describe secret|date -u)/);
  });
}

test('an agent that is too old for another host is named with its version', async () => {
  await manager.set({ AgentVersion: '3.1.1080.0' });
  const destination = { host: 'orders.db.internal', port: 5432 };
  const { message } = onlyFault(await way([{ port: 5432, destination }]), 'agent', 'AgentTooOld');
  assert.match(message ?? '', /3\.1\.1080\.0/);
});

test('a destination that refuses is the fault of the dial, not of the node', async (t) => {
  const { port, stop } = await closedPort();
  t.after(stop);
  const { at } = onlyFault(
    await way([{ name: 'db', port, appProtocol: 'postgresql' }]),
    'dial',
    'DestinationUnreachable',
  );
  assert.equal(at, `port db: 127.0.0.1:${port}`);
});
