import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import type { SsmConfig } from '../../../src/contract/tunnel-config.ts';
import { createSsmApi } from '../../../src/sidecar/drivers/ssm/aws/api.ts';
import { createIdentity } from '../../../src/sidecar/drivers/ssm/aws/identity.ts';
import type { SsmDriverOptions } from '../../../src/sidecar/drivers/ssm/driver.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { asked, dial, local } from './exchange.ts';
import { configFor, SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();
const { signal } = new AbortController();
const directory = await mkdtemp(join(tmpdir(), 'ssm-targets-'));
const roleArn = 'arn:aws:iam::123456789012:role/tunnel';
const ecsTask = { cluster: 'shop', service: 'orders', container: 'app' };
const services: Service[] = [];

afterEach(async () => {
  await Promise.all(services.splice(0).map((one) => one.stop()));
  await world.service.set({ Tasks: [], Roles: {}, Errors: {} });
  assert.equal((await world.service.seen()).complaints, null, 'the driver broke the protocol');
});

after(() => rm(directory, { recursive: true }));

/** The driver as in a pod: its identity by static keys, then a role. */
async function podWith(
  config: Partial<SsmConfig>,
): Promise<Partial<SsmDriverOptions> & { config: Partial<SsmConfig> }> {
  const { accessKeyId, secretAccessKey } = world.service.credentials;
  await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), accessKeyId);
  await writeFile(join(directory, 'AWS_SECRET_ACCESS_KEY'), secretAccessKey);
  await world.service.set({ Roles: { [roleArn]: { ExternalID: 'shop' } } });
  const whole: SsmConfig = {
    ...configFor(world.service),
    credentials: { secretName: 'aws', directory },
    assumeRole: { roleArn, externalId: 'shop', sessionTags: { team: 'orders' } },
    ...config,
  };
  const { endpoint } = world.service;
  const policy = { region: 'eu-west-1', allowed: [endpoint] };
  const credentials = createIdentity(whole, { policy, sessionName: 'portforward-uid', environment: {} });
  return { config: whole, api: createSsmApi({ policy, endpoint, credentials }) };
}

test('a container of a service is found and reached with an assumed role, and its successor when the task is replaced', async () => {
  const service = await serve(echo);
  services.push(service);
  const task = { Cluster: 'shop', Service: 'orders', Containers: { app: '0123-1', log: '0123-2' } };
  await world.service.set({ Tasks: [{ ...task, ID: '0123abcd' }] });
  const driver = world.driver([local(service)], await podWith({ target: { ecsTask } }));
  const session = await world.connect(driver);
  assert.equal(session.via, 'shop/0123abcd/app');
  assert.equal(await asked(await dial(session, local(service)), 'select 1'), 'select 1');
  const { sessions } = await world.service.seen();
  assert.deepEqual(
    sessions.map(({ target }) => target),
    ['ecs:shop_0123abcd_0123-1'],
  );
  // Session ids begin with the role's session name, as the least policy requires.
  assert.match(sessions[0]?.id ?? '', /^portforward-uid-/);
  await session.close();
  await world.service.set({
    Tasks: [
      { ...task, ID: '0123abcd', Stopped: true },
      { ...task, ID: '4567cdef', Containers: { app: '4567-1' } },
    ],
  });
  const next = await world.connect(driver);
  assert.equal(next.via, 'shop/4567cdef/app');
  assert.equal(await asked(await dial(next, local(service)), 'select 2'), 'select 2');
});

test('the reason why a task cannot be reached is reported', async () => {
  const cases = [
    [[], 'TargetNotFound', /does not know the cluster/],
    [[{ Cluster: 'shop', Service: 'other', ID: '1', Containers: { app: '1' } }], 'TargetNotFound', /know the service/],
    [
      [{ Cluster: 'shop', Service: 'orders', ID: '1', Containers: { app: '1' }, Stopped: true }],
      'TargetNotFound',
      /no running/,
    ],
    [
      [{ Cluster: 'shop', Service: 'orders', ID: '1', Containers: { app: '1' }, NoExec: true }],
      'TargetNotFound',
      /ECS Exec/,
    ],
    [
      [{ Cluster: 'shop', Service: 'orders', ID: '1', Containers: { web: '1' } }],
      'TargetNotFound',
      /container app.*web/,
    ],
  ] as const;
  const driver = world.driver([local({ port: 1 })], await podWith({ target: { ecsTask } }));
  for (const [Tasks, code, message] of cases) {
    await world.service.set({ Tasks });
    await assert.rejects(driver.routes({ signal }), { code, message });
  }
  await world.service.set({ Errors: { ListTasks: { Type: 'AccessDeniedException' } } });
  await assert.rejects(driver.routes({ signal }), { code: 'AccessDenied', message: /lacks ecs:ListTasks/ });
});

test('sessions of an earlier container of the pod are ended, a sibling’s are not', async () => {
  const service = await serve(echo);
  services.push(service);
  const { endpoint, credentials } = world.service;
  const api = createSsmApi({
    policy: { region: 'eu-west-1', allowed: [endpoint] },
    endpoint,
    credentials: async () => credentials,
  });
  const start = { target: 'i-0123456789abcdef0', host: undefined, port: service.port };
  const reason = 'portforward/shop/orders-db/uid';
  const ours = await api.startSession({ ...start, reason }, signal);
  const siblings = await api.startSession({ ...start, reason: 'portforward/shop/orders-db/other' }, signal);
  const session = await world.connect(world.driver([local(service)], { api, reason }));
  const ids = async (): Promise<string[]> => (await world.service.seen()).sessions.map(({ id }) => id);
  await eventually('the leftover is ended', async () => !(await ids()).includes(ours.sessionId));
  assert.ok((await ids()).includes(siblings.sessionId));
  assert.ok((await ids()).includes(session.facts.sessionId ?? ''));
  assert.equal(await asked(await dial(session, local(service)), 'select 1'), 'select 1');
  await api.terminateSession(siblings.sessionId, signal);
});
