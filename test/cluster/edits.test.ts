// What users do to a running PortForward: change its ports under load, rename its Service, scale it, delete it, and touch its objects
// by hand.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { Child } from '../../lab/process/child.ts';
import { judge } from '../faults/budget.ts';

const names = ['apples', 'pears', 'plums'] as const;
const firstPort = 7100;

let cluster: Cluster;
let network: PrivateNetwork;
const destinations: Child[] = [];
let shop: Shop;

const port = (name: (typeof names)[number]): object => ({
  name,
  port: firstPort + names.indexOf(name),
  destinationHost: network.inside.address,
  // A different number than the Service's, so that a mix-up cannot pass unnoticed.
  destinationPort: firstPort + 50 - names.indexOf(name),
});

const spec = (ports: readonly (typeof names)[number][], more: object = {}): object => {
  const { a, b } = network.bastions;
  return {
    replicas: 2,
    ...more,
    ports: ports.map(port),
    ssh: {
      user: 'tunnel',
      bastions: [{ host: a.address }, { host: b.address }],
      secretRef: { name: 'bastion' },
      knownHosts: a.knownHosts({ name: a.address }) + b.knownHosts({ name: b.address }),
    },
  };
};

suite('edits', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    network = await startPrivateNetwork();
    const { namespace, address } = network.inside;
    for (const [index, name] of names.entries()) {
      const server = [join(import.meta.dirname, 'destination-server.mjs'), address, `${firstPort + 50 - index}`, name];
      const child = new Child(name, 'ip', ['netns', 'exec', namespace, process.execPath, ...server]);
      await child.line(/listening/);
      destinations.push(child);
    }
    shop = await Shop.create(cluster, 'edits');
    await cluster.clientImage();
    await shop.client();
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
  });
  after(async () => {
    await shop?.delete();
    for (const child of destinations) await child.stop();
    await network?.stop();
  });

  type Name = (typeof names)[number];
  const ask = (service: string, name: Name): string =>
    `echo who | timeout 10 nc -N ${service} ${firstPort + names.indexOf(name)}`;
  const answers = (service: string, name: Name) => async (): Promise<boolean> =>
    (await shop.exec(['sh', '-c', ask(service, name)]).catch(String)) === `${name}\n`;

  test('a port inserted first and another removed under load: no answer from another’s destination, no failure on the untouched port', async (t) => {
    await shop.portForward('fruit', spec(['pears', 'plums']));
    await shop.ready('fruit');
    // Ready means the first pod. The other may still be an endpoint from when no pod was ready.
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'portforward/fruit', '--timeout=60s']);
    await eventually('a client is carried', answers('fruit', 'pears'));
    // One line per connection: what it asked for and what answered. The loop ends when its file exists and it has asked `least` times.
    const loop = (name: Name, least: number): Promise<string> => {
      const asks = `while [ ! -e /tmp/stop ] || [ $n -lt ${least} ]; do n=$((n + 1)); echo "${name} $(${ask('fruit', name)})"; done`;
      return shop.exec(['sh', '-c', `n=0; ${asks}`], { timeoutMs: 600_000 });
    };
    const loops = names.map((name) => loop(name, name === 'pears' ? 25 : 0));
    await shop.portForward('fruit', spec(['apples', 'pears']));
    await shop.ready('fruit', 120);
    await eventually('the new port works', answers('fruit', 'apples'), 60_000);
    await shop.kubectl(['rollout', 'status', 'deployment/pf-fruit', '--timeout=120s']);
    await eventually('two tunnel pods', async () => (await shop.tunnelPods('fruit')).length === 2, 120_000);
    await shop.exec(['touch', '/tmp/stop']);
    const lines = (await Promise.all(loops)).join('').trim().split('\n');
    const pairs = lines.map((line) => line.split(' '));
    const wrong = pairs.filter(([asked, answered]) => answered !== '' && answered !== undefined && asked !== answered);
    assert.deepEqual(wrong, [], 'every answer comes from the destination that was asked');
    const pears = pairs.filter(([asked]) => asked === 'pears');
    const failed = pears.filter(([, answered]) => answered !== 'pears');
    t.diagnostic(`${pears.length} connections to the untouched port, ${failed.length} failed`);
    assert.ok(pears.length > 20);
    assert.equal(failed.length, 0);
  });

  test('renaming the Service and scaling to one leave no old Service and no budget', async () => {
    await shop.portForward('fruit', spec(['pears'], { replicas: 1, service: { name: 'orchard' } }));
    await shop.ready('fruit', 120);
    const list = async (kind: string): Promise<string> =>
      shop.kubectl([
        'get',
        kind,
        '--selector',
        'portforward.dev/name=fruit',
        '--output',
        'jsonpath={.items[*].metadata.name}',
      ]);
    await eventually('the old Service is gone', async () => (await list('services')) === 'orchard', 60_000);
    await eventually('the budget is gone', async () => (await list('poddisruptionbudgets')) === '', 60_000);
    // The endpoints of the new Service lag behind.
    await eventually('a client is carried', answers('orchard', 'pears'));
  });

  test('a child that is edited or deleted by hand is repaired within 2 s', async (t) => {
    const port = ['get', 'service', 'orchard', '--ignore-not-found', '--output', 'jsonpath={.spec.ports[*].port}'];
    const repaired = async (what: string): Promise<void> => {
      const took = await eventually('the port is back', async () => (await shop.kubectl(port)) === `${firstPort + 1}`);
      judge(t, `the repair of ${what}`, took, 2_000);
    };
    await shop.kubectl([
      'patch',
      'service',
      'orchard',
      '--type=json',
      '--patch',
      '[{"op":"replace","path":"/spec/ports/0/port","value":9999}]',
    ]);
    await repaired('the edited Service');
    await shop.kubectl(['delete', 'service', 'orchard', '--wait=false']);
    await repaired('the deleted Service');
    const policy = ['get', 'networkpolicy', '--selector', 'portforward.dev/name=fruit', '--output', 'name'];
    await shop.kubectl(['delete', 'networkpolicy', '--selector', 'portforward.dev/name=fruit', '--wait=false']);
    const took = await eventually('the policy is back', async () => (await shop.kubectl(policy)) !== '');
    judge(t, 'the repair of the deleted NetworkPolicy', took, 2_000);
  });

  test('a suspended tunnel has no pods, keeps its Service and comes back', async () => {
    await shop.kubectl(['patch', 'portforward', 'fruit', '--type=merge', '--patch', '{"spec":{"suspend":true}}']);
    await shop.reason('fruit', 'Ready', 'Suspended');
    await eventually('no tunnel pod', async () => (await shop.tunnelPods('fruit')).length === 0, 60_000);
    assert.notEqual(await shop.kubectl(['get', 'service', 'orchard', '--output', 'name']), '');
    await shop.kubectl(['patch', 'portforward', 'fruit', '--type=merge', '--patch', '{"spec":{"suspend":false}}']);
    await shop.ready('fruit');
  });

  test('kubectl scale works on the PortForward itself, and zero says so', async () => {
    await shop.kubectl(['scale', 'portforward/fruit', '--replicas=0']);
    await shop.reason('fruit', 'Ready', 'ScaledToZero');
    await shop.kubectl(['scale', 'portforward/fruit', '--replicas=2']);
    await shop.ready('fruit');
    await eventually('two tunnel pods', async () => (await shop.tunnelPods('fruit')).length === 2, 60_000);
  });

  test('kubectl delete pf leaves nothing behind', async () => {
    await shop.kubectl(['delete', 'portforward', 'fruit']);
    const kinds = 'deployments,replicasets,pods,services,serviceaccounts,networkpolicies,poddisruptionbudgets';
    await eventually(
      'nothing is left',
      async () =>
        (await shop.kubectl(['get', kinds, '--selector', 'portforward.dev/name=fruit', '--output', 'name'])) === '',
      60_000,
    );
  });
});
