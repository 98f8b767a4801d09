// The tunnel as AWS sees it: who it is, which nodes and containers it asks for, and how it reports every error that AWS documents.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../src/contract/errors.ts';
import { createLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { Driver } from '../../../src/sidecar/base/driver.ts';
import type { SsmRoute } from '../../../src/sidecar/drivers/ssm/aws/ssm-route.ts';
import { createSsmDriver, type SsmDriverOptions } from '../../../src/sidecar/drivers/ssm/driver.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { asked, dial, local } from './exchange.ts';
import { configFor, SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();
const { service } = world;
const echoing = await serve(echo);
const instance = 'i-0123456789abcdef0';
const role = 'arn:aws:iam::123456789012:role/tunnel';
const own = { AKIDEXAMPLE: { Secret: service.credentials.secretAccessKey, User: 'operator' } };
const drivers: Driver<SsmRoute>[] = [];

afterEach(async () => {
  for (const driver of drivers.splice(0)) await driver.close();
  const node = { [instance]: { Connected: true } };
  await service.set({ Errors: {}, Nodes: node, Tasks: [], Roles: {}, Keys: own, CredentialsMs: 3_600_000, ClockMs: 0 });
  assert.equal((await service.seen()).complaints, null);
});
test.after(() => echoing.stop());

const calls = async (name: string): Promise<number> => (await service.seen()).calls[name] ?? 0;

/** A driver that finds its own identity: no part of it is replaced. */
function driverWith(
  config: Partial<ReturnType<typeof configFor>>,
  environment: NonNullable<SsmDriverOptions['environment']> = {},
): Driver<SsmRoute> {
  const driver = createSsmDriver(
    { ...configFor(service), ...config },
    {
      destinations: [local(echoing)],
      allowedEndpoints: [service.endpoint],
      persistent: true,
      drainTimeoutMs: 30_000,
      reason: 'portforward/test/aws/uid-1',
      podUid: 'uid-1',
      log: createLog({ level: 'silent' }),
      budget: new ByteBudget(),
      environment,
    },
  );
  drivers.push(driver);
  return driver;
}

function keys(): SecretDirectory {
  const { accessKeyId, secretAccessKey } = service.credentials;
  return new SecretDirectory({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
}

/** The code of the failed connect, or `connected`. */
async function outcome(driver: Driver<SsmRoute>): Promise<string> {
  const connecting = async (): Promise<void> => {
    const [route] = await driver.routes({ signal: AbortSignal.timeout(30_000) });
    assert.ok(route);
    const session = await driver.connect(route, {
      signal: AbortSignal.timeout(30_000),
      log: createLog({ level: 'silent' }),
    });
    await session.close();
  };
  return await connecting().then(
    () => 'connected',
    (error: unknown) => (error instanceof TunnelError ? error.code : String(error)),
  );
}

test('a role is assumed with the keys of the Secret, names its sessions, and is assumed again before its keys expire', async () => {
  using secret = keys();
  const credentials = { secretName: 'aws', directory: secret.directory };
  await service.set({ Roles: { [role]: { ExternalID: 'shop' } }, CredentialsMs: 6_000 });
  const driver = driverWith({
    credentials,
    assumeRole: { roleArn: role, externalId: 'shop', sessionTags: { team: 'shop' } },
  });
  const session = await world.connect(driver);
  assert.match(session.facts.sessionId ?? '', /^portforward-uid1-/);
  const before = await calls('AssumeRole');
  assert.ok(before >= 1);
  await delay(6_500);
  await service.order('cut');
  const stream = await dial(session, local(echoing));
  assert.equal(await asked(stream, 'after the keys ended'), 'after the keys ended');
  assert.ok((await calls('AssumeRole')) > before);
  stream.destroy();
});

test('a role that may not be assumed is reported as denied', async () => {
  using secret = keys();
  const credentials = { secretName: 'aws', directory: secret.directory };
  await service.set({ Roles: { [role]: { ExternalID: 'another' } } });
  assert.equal(
    await outcome(driverWith({ credentials, assumeRole: { roleArn: role, externalId: 'shop' } })),
    'AccessDenied',
  );
});

test('a pod’s web identity takes on its role, with the token that is in the file now', async () => {
  using token = new SecretDirectory({ token: 'first' });
  const file = join(token.directory, 'token');
  await service.set({ Roles: { [role]: { WebTokens: ['first', 'second'] } }, CredentialsMs: 6_000 });
  const driver = driverWith({}, { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role });
  const session = await world.connect(driver);
  assert.match(session.facts.sessionId ?? '', /^portforward-uid1-/);
  // The kubelet renews the token; the old one and its credentials expire.
  writeFileSync(file, 'second');
  await service.set({ ExpiredWebTokens: ['first'] });
  await delay(6_500);
  await service.order('cut');
  assert.equal(await asked(await dial(session, local(echoing)), 'renewed'), 'renewed');
});

test('expired, unknown and wrong keys, and a wrong clock, each have their reason', async () => {
  using secret = keys();
  const credentials = { secretName: 'aws', directory: secret.directory };
  const driver = driverWith({ credentials });
  await service.set({ Keys: { AKIDEXAMPLE: { Secret: service.credentials.secretAccessKey, Expired: true } } });
  assert.equal(await outcome(driver), 'CredentialsExpired');
  await service.set({ Keys: { AKIDEXAMPLE: { Secret: 'another' } } });
  assert.equal(await outcome(driver), 'CredentialsRefused');
  await service.set({ Keys: {} });
  assert.equal(await outcome(driver), 'CredentialsRefused');
  await service.set({ Keys: own, ClockMs: 30 * 60_000 });
  assert.equal(await outcome(driver), 'ClockSkew');
});

test('nodes are found by their tags, over several pages, and only connected ones are used', async () => {
  using secret = keys();
  const credentials = { secretName: 'aws', directory: secret.directory };
  const tagged = Array.from({ length: 60 }, (_, index) => [
    `i-${index.toString(16).padStart(17, '0')}`,
    { Connected: index < 58, Tags: { role: 'bastion', shop: index < 55 ? 'no' : 'yes' } },
  ]);
  await service.set({ Nodes: Object.fromEntries(tagged) });
  const all = driverWith({ credentials, target: { tags: { role: 'bastion' } } });
  assert.ok((await all.routes({ signal: AbortSignal.timeout(30_000) })).length > 1);
  assert.equal(await calls('DescribeInstanceInformation'), 2, 'sixty nodes are two pages');
  const shop = driverWith({ credentials, target: { tags: { role: 'bastion', shop: 'yes' } } });
  const routes = await shop.routes({ signal: AbortSignal.timeout(30_000) });
  assert.deepEqual(
    routes.map(({ via }) => Number.parseInt(via.slice(2), 16)).toSorted((a, b) => a - b),
    [55, 56, 57],
  );
  assert.equal(await outcome(driverWith({ credentials, target: { tags: { role: 'none' } } })), 'TargetNotFound');
});

test('a container of a service is found by its task, and by the next task once that has stopped', async () => {
  using secret = keys();
  const credentials = { secretName: 'aws', directory: secret.directory };
  const task = (id: string, runtime: string) => ({
    Cluster: 'shop',
    Service: 'bastion',
    ID: id,
    Containers: { ssm: runtime },
  });
  await service.set({ Tasks: [task('aaaa1111', 'aaaa1111-1')] });
  const driver = driverWith({
    credentials,
    target: { ecsTask: { cluster: 'shop', service: 'bastion', container: 'ssm' } },
  });
  const session = await world.connect(driver);
  assert.equal(await asked(await dial(session, local(echoing)), 'in a task'), 'in a task');
  assert.equal((await service.seen()).sessions[0]?.target, 'ecs:shop_aaaa1111_aaaa1111-1');
  await service.set({ Tasks: [{ ...task('aaaa1111', 'aaaa1111-1'), Stopped: true }, task('bbbb2222', 'bbbb2222-7')] });
  const [route] = await driver.routes({ signal: AbortSignal.timeout(30_000) });
  assert.match(route?.via ?? '', /bbbb2222/);
  await service.set({ Tasks: [{ ...task('bbbb2222', 'bbbb2222-7'), NoExec: true }] });
  assert.notEqual(await outcome(driver), 'connected');
});

for (const [operation, types] of [
  ['StartSession', ['TargetNotConnected', 'InvalidDocument', 'InternalServerError']],
  ['ResumeSession', ['DoesNotExistException', 'InternalServerError']],
  [
    'DescribeInstanceInformation',
    [
      'InternalServerError',
      'InvalidFilterKey',
      'InvalidInstanceId',
      'InvalidInstanceInformationFilterValue',
      'InvalidNextToken',
    ],
  ],
  ['GetConnectionStatus', ['InternalServerError']],
  ['TerminateSession', ['InternalServerError']],
  ['DescribeSessions', ['InternalServerError', 'InvalidFilterKey', 'InvalidNextToken']],
] as const) {
  test(`every error that ${operation} declares, and what AWS answers to any call, is understood`, async (t) => {
    using secret = keys();
    const credentials = { secretName: 'aws', directory: secret.directory };
    await service.set({ Nodes: { [instance]: { Connected: true, Tags: { role: 'bastion' } } } });
    const told: string[] = [];
    for (const type of [
      ...types,
      'AccessDeniedException',
      'ThrottlingException',
      'ExpiredTokenException',
      'UnrecognizedClientException',
    ]) {
      // A resume is tried again after transient failures; two failures are enough to show it.
      const passes = operation === 'ResumeSession' && !/^(AccessDenied|DoesNotExist)/.test(type);
      const status = type === 'InternalServerError' ? 500 : 400;
      await service.set({ Errors: { [operation]: { Type: type, Status: status, Times: passes ? 2 : 0 } } });
      const driver = driverWith({ credentials, target: { tags: { role: 'bastion' } } });
      const code = await outcome(driver);
      await driver.close();
      await service.set({ Errors: {} });
      told.push(`${type} → ${code}`);
      // Ending a session and looking for leftovers happen while the tunnel works.
      const behind = operation === 'TerminateSession' || operation === 'DescribeSessions' || passes;
      assert.equal(code === 'connected', behind, `${type} → ${code}`);
      if (type === 'AccessDeniedException' && !behind) assert.match(code, /^(AccessDenied|ResumeDenied)$/);
      if (type === 'ThrottlingException' && !behind) assert.equal(code, 'Throttled');
    }
    t.diagnostic(told.join(', '));
  });
}
