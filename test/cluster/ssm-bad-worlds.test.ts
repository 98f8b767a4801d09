// Every way in which a tunnel through Session Manager can fail, on a real cluster: within 15 s each shows its own reason and a sentence that
// names what is affected and how to fix it, and which the client of its protocol prints; it recovers by itself once that is done. All run side by side in one namespace, each with
// a service and keys of its own, because a permanent failure is retried only once a minute.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { judge } from '../faults/budget.ts';
import type { SessionManager, Switches } from '../support/ssm/session-manager.ts';
import { faultInPod } from './doctor-in-pod.ts';
import { fourPorts, startThreeServices } from './four-services.ts';
import { assertNoLeaks } from './leaks.ts';
import { printedByClients } from './printed.ts';
import { accepted, channelToken, Instance, instanceId, type Keys, newKeys, region } from './ssm-instance.ts';

const reasonBudgetSeconds = 15;
/** A permanent failure is retried within a minute, and once more within another; a changed Secret reaches the pods sooner. */
const healLimitSeconds = 135;

/** One broken world: what is wrong, what it must say, and what fixes it. */
interface World {
  /** Settings of its service while it is broken. */
  readonly switches?: Switches;
  /** What its Secret holds in the meantime. Default: the keys. Undefined: there is no Secret. */
  readonly secret?: (keys: Keys) => Readonly<Record<string, string>> | undefined;
  readonly ssm?: object;
  readonly ports?: readonly object[];
  readonly reason: string;
  /** Where `doctor` finds it. Absent: there is no pod that could walk. */
  readonly step?: string;
  readonly condition?: string;
  /** The sentence must contain all of these. */
  readonly says: (place: Place) => readonly (string | RegExp)[];
  /** Removes the fault. The healthy service, the keys and the working document are restored as well. */
  readonly mendedBy: 'service' | 'Secret' | 'document';
}

interface Place {
  readonly name: string;
  readonly service: SessionManager;
  readonly keys: Keys;
  /** Another protocol from world to world: each port is a session of its own, and they are started one after the other. */
  readonly port: (typeof fourPorts)[number];
}

const denied = (action: string, status = 400): Switches => ({
  Errors: {
    [action.split(':')[1] ?? '']: {
      Type: 'AccessDeniedException',
      Status: status,
      Message: `User: arn:aws:sts::123456789012:assumed-role/shop/portforward is not authorized to perform: ${action}`,
    },
  },
});
const behind = [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }];
const tags = { Role: 'bastion' };

/** First those that take a minute to recover. */
const worlds: Readonly<Record<string, World>> = {
  'the start is denied': {
    switches: denied('ssm:StartSession'),
    reason: 'AccessDenied',
    step: 'start session',
    says: () => ['ssm:StartSession', instanceId, region, /policy/],
    mendedBy: 'service',
  },
  'the look-up of nodes is denied': {
    switches: denied('ssm:DescribeInstanceInformation'),
    ssm: { target: { tags } },
    reason: 'AccessDenied',
    step: 'target',
    says: () => ['ssm:DescribeInstanceInformation', region, /policy/],
    mendedBy: 'service',
  },
  'the data channel is denied': {
    switches: denied('ssmmessages:OpenDataChannel', 403),
    reason: 'AccessDenied',
    step: 'data channel',
    says: () => ['ssmmessages:OpenDataChannel', /policy/],
    mendedBy: 'service',
  },
  'the resume is denied': {
    switches: denied('ssm:ResumeSession'),
    reason: 'ResumeDenied',
    step: 'resume',
    says: () => ['ssm:ResumeSession', region, /hourly/, /policy/],
    mendedBy: 'service',
  },
  'the document is unknown': {
    switches: { Errors: { StartSession: { Type: 'InvalidDocument', Message: 'Document does not exist.' } } },
    reason: 'DocumentUnknown',
    step: 'start session',
    says: () => ['AWS-StartPortForwardingSession', region, /allow/],
    mendedBy: 'service',
  },
  'encryption is demanded': {
    switches: { KMS: true },
    reason: 'EncryptionDemanded',
    step: 'agent',
    says: () => ['KMS', /preferences/, /TLS/],
    mendedBy: 'service',
  },
  'the agent is too old': {
    switches: { AgentVersion: '3.1.1080.0' },
    ports: behind,
    reason: 'AgentTooOld',
    step: 'agent',
    says: () => ['3.1.1080.0', '3.1.1374.0', /update/],
    mendedBy: 'service',
  },
  'the clocks differ': {
    switches: { ClockMs: 600_000 },
    reason: 'ClockSkew',
    step: 'start session',
    says: () => [/clock/, /NTP/],
    mendedBy: 'service',
  },
  'the secret key is wrong': {
    secret: (keys) => ({ ...keys, AWS_SECRET_ACCESS_KEY: `${keys.AWS_SECRET_ACCESS_KEY.slice(0, -4)}AAAA` }),
    reason: 'CredentialsRefused',
    step: 'start session',
    says: ({ name }) => ['ssm:StartSession', region, `correct the keys in Secret ${name}`],
    mendedBy: 'Secret',
  },
  'the Secret is missing': {
    secret: () => undefined,
    reason: 'SecretNotFound',
    step: 'identity',
    says: ({ name }) => [`Secret ${name}`, /create it/],
    mendedBy: 'Secret',
  },
  'a key is missing in the Secret': {
    secret: ({ AWS_ACCESS_KEY_ID }) => ({ AWS_ACCESS_KEY_ID }),
    reason: 'SecretKeyMissing',
    step: 'identity',
    says: ({ name }) => [`Secret ${name}`, 'AWS_SECRET_ACCESS_KEY', /add it/],
    mendedBy: 'Secret',
  },
  'the keys have expired': {
    secret: (keys) => ({ ...keys, AWS_SESSION_TOKEN: newKeys({ temporary: true }).AWS_SESSION_TOKEN ?? '' }),
    reason: 'CredentialsExpired',
    step: 'start session',
    says: ({ name }) => ['ssm:StartSession', region, `renew the keys in Secret ${name}`],
    mendedBy: 'Secret',
  },
  'the target is not connected': {
    switches: { Nodes: { [instanceId]: { Connected: false } } },
    reason: 'TargetNotConnected',
    step: 'start session',
    says: () => [instanceId, region, /start it/, 'AmazonSSMManagedInstanceCore'],
    mendedBy: 'service',
  },
  'no node has the tag': {
    switches: { Nodes: { [instanceId]: { Connected: true, Tags: { Role: 'web' } } } },
    ssm: { target: { tags } },
    reason: 'TargetNotFound',
    step: 'target',
    says: () => ['Role=bastion', region, 'spec.ssm.target.tags'],
    mendedBy: 'service',
  },
  'the account is throttled': {
    switches: { Errors: { StartSession: { Type: 'ThrottlingException', Message: 'Rate exceeded' } } },
    reason: 'Throttled',
    step: 'start session',
    says: () => ['ssm:StartSession', region, /fewer/],
    mendedBy: 'service',
  },
  'there are no credentials': {
    secret: () => undefined,
    ssm: { secretRef: undefined },
    reason: 'CredentialsMissing',
    step: 'identity',
    says: () => ['spec.ssm.irsaRoleArn', 'Pod Identity', 'Secret'],
    mendedBy: 'document',
  },
  'there is no such region': {
    ssm: { region: 'eu-nowhere-9', endpoints: undefined },
    reason: 'RegionWrong',
    step: 'start session',
    says: () => ['eu-nowhere-9', 'spec.ssm.region'],
    mendedBy: 'document',
  },
  'the endpoint is not allowed': {
    ssm: { endpoints: { ssm: 'https://ssm.elsewhere.example.test' } },
    reason: 'EndpointNotAllowed',
    condition: 'Accepted',
    says: () => ['ssm.elsewhere.example.test', 'spec.ssm.endpoints', /administrator/],
    mendedBy: 'document',
  },
};

/** What the service is while it is healthy. */
const healthy: Switches = {
  Errors: {},
  KMS: false,
  AgentVersion: '3.3.4108.0',
  ClockMs: 0,
  Nodes: { [instanceId]: { Connected: true, Tags: tags } },
};

let cluster: Cluster;
let instance: Instance;
let services: AsyncDisposable | undefined;
let shop: Shop;
const names = Object.keys(worlds);
const places = new Map<string, Place>();
const mendedAt = new Map<string, number>();
/** Pods that showed the reason, by world. */
const podsOf = new Map<string, readonly string[]>();
/** Every secret text of every world: none may appear anywhere. */
const secrets = new Map<string, string | RegExp>([['the token of a data channel', channelToken]]);

before(async () => {
  cluster = await ensureCluster();
  instance = await Instance.start(cluster, names.length);
  services = await startThreeServices({ host: '127.0.0.1', namespace: instance.network.bastions.a.namespace });
  await ensureOperator(cluster, { values: instance.chartValues });
  shop = await Shop.create(cluster, 'ssm-worlds');
  await instance.trustedIn(shop);
  for (const [index, world] of names.entries()) {
    const service = instance.services[index];
    assert.ok(service !== undefined);
    const keys = newKeys({ temporary: true });
    for (const [key, text] of Object.entries(keys)) secrets.set(`${key} of ${world}`, text);
    const port = fourPorts[index % fourPorts.length] ?? fourPorts[0];
    places.set(world, { name: `world-${index}`, service, keys, port });
    await service.set({ ...healthy, Keys: accepted(keys) });
  }
});
after(async () => {
  await services?.[Symbol.asyncDispose]();
  await shop?.delete();
  await instance?.stop();
});

const placeOf = (world: string): Place => {
  const place = places.get(world);
  assert.ok(place !== undefined);
  return place;
};

/** The document that works as soon as everything else does. */
function spec({ name, service, port }: Place, { ssm, ports }: Partial<World> = {}): object {
  return {
    replicas: 1,
    ports: ports ?? [port],
    ssm: {
      region,
      target: { instanceId },
      secretRef: { name },
      endpoints: { ssm: service.endpoint },
      ...ssm,
    },
  };
}

const uids = async (name: string): Promise<string[]> =>
  (await shop.tunnelPods(name)).map(({ metadata }) => metadata.uid);

suite('bad worlds through Session Manager', { concurrency: 3 }, () => {
  for (const [title, world] of Object.entries(worlds)) {
    test(title, async (t) => {
      const place = placeOf(title);
      const { name, service, keys } = place;
      const condition = world.condition ?? 'Ready';
      await service.set(world.switches ?? {});
      const data = world.secret === undefined ? { ...keys } : world.secret(keys);
      if (data !== undefined) {
        await shop.secret(name, data);
        for (const [key, text] of Object.entries(data)) secrets.set(`the wrong ${key} of ${title}`, text);
      }
      await shop.portForward(name, spec(place, world));
      const seconds = await shop.reason(name, condition, world.reason, 3 * reasonBudgetSeconds);
      judge(t, world.reason, 1_000 * seconds, 1_000 * reasonBudgetSeconds);
      const ready = await shop.condition(name, 'Ready');
      const shown = await shop.condition(name, condition);
      t.diagnostic(`${world.reason}: ${shown?.message}`);
      assert.equal(ready?.status, 'False');
      assert.equal(ready?.reason, world.reason, 'Ready gives the same reason');
      assert.equal(shown?.status, 'False');
      for (const part of world.says(place)) {
        if (typeof part === 'string') assert.ok(shown?.message.includes(part), `“${shown?.message}” names ${part}`);
        else assert.match(shown?.message ?? '', part);
      }
      podsOf.set(title, await uids(name));
      if (world.step !== undefined) {
        const [fault, printed] = await Promise.all([
          faultInPod(shop, name, secrets),
          printedByClients({ cluster, shop }, name, world.reason),
        ]);
        t.diagnostic(printed);
        assert.equal(fault, `${world.step}: ${world.reason}`);
      }
      await assertNoLeaks({ cluster, shop, tunnels: [name] }, secrets);

      await service.set(healthy);
      if (world.mendedBy !== 'service') await shop.secret(name, { ...keys });
      if (world.mendedBy === 'document') {
        const { ports } = world;
        await shop.portForward(name, spec(place, ports === undefined ? {} : { ports }));
      }
      mendedAt.set(title, performance.now());
    });
  }
});

suite('each recovers by itself', { concurrency: names.length }, () => {
  for (const [title, world] of Object.entries(worlds)) {
    test(title, async (t) => {
      const since = mendedAt.get(title);
      assert.ok(since !== undefined, 'it was fixed');
      const { name, service } = placeOf(title);
      await shop.ready(name, healLimitSeconds);
      t.diagnostic(`Ready at most ${((performance.now() - since) / 1000).toFixed(1)} s after the fix`);
      const [pod] = await shop.tunnelPods(name);
      if (world.mendedBy !== 'document') assert.deepEqual(await uids(name), podsOf.get(title), 'the same pod');
      assert.equal(pod?.status.containerStatuses?.[0]?.restartCount, 0, 'no restart');
      assert.equal((await shop.get(name)).status?.via, instanceId);
      assert.equal((await service.seen()).complaints, null, 'the driver kept to the protocol');
    });
  }
});

test('nothing shows a secret afterwards', async () => {
  await assertNoLeaks({ cluster, shop, tunnels: [...places.values()].map(({ name }) => name) }, secrets);
});
