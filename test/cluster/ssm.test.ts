// The main job through Session Manager: a database on an instance, and one behind it, are reached by their Services although nothing else
// leads to them; the status names the instance and the session; nothing is left when the PortForwards are deleted.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { Child } from '../../lab/process/child.ts';
import { command } from '../../lab/process/command.ts';
import { driverPanelsFilled } from '../monitoring/chart-parts.ts';
import { collectorReads } from '../support/otlp/collector-reads.ts';
import type { SessionManager } from '../support/ssm/session-manager.ts';
import { TraceCollector } from '../support/trace-collector.ts';
import { assertNoLeaks } from './leaks.ts';
import { accepted, channelToken, Instance, instanceId, newKeys, region } from './ssm-instance.ts';

const role = 'arn:aws:iam::123456789012:role/shop-tunnel';
const rows = 'select customer, host(inet_server_addr()) from orders order by id';

let cluster: Cluster;
let instance: Instance;
let service: SessionManager;
let shop: Shop;
let collector: TraceCollector;
/** Of the chart. */
let values: Readonly<Record<string, string>>;
const keys = newKeys();
/** What the receiver of traces wants from a tunnel. */
const traceToken = `Bearer ${randomBytes(24).toString('base64url')}`;

suite('main job through Session Manager', () => {
  before(async () => {
    cluster = await ensureCluster();
    await cluster.clientImage();
    instance = await Instance.start(cluster);
    [service] = instance.services as [SessionManager];
    await service.set({ Keys: accepted(keys) });
    collector = await TraceCollector.start(instance.network.bastions.a.hostAddress);
    values = {
      ...instance.chartValues,
      'tracing.endpoint': collector.url,
      'tracing.headers': '{authorization}',
      'tracing.headersSecret': 'trace-headers',
    };
    await ensureOperator(cluster, { values });
    shop = await Shop.create(cluster, 'ssm');
    await shop.secret('trace-headers', { authorization: traceToken });
    await instance.trustedIn(shop);
    await shop.client();
  });
  after(async () => {
    await shop?.delete();
    await collector?.stop();
    await instance?.stop();
  });

  const spec = (ssm: object, more: object = {}): object => ({
    replicas: 1,
    ports: [{ port: 5432, appProtocol: 'postgresql', ...more }],
    ssm: {
      region,
      target: { instanceId },
      secretRef: { name: 'aws' },
      endpoints: { ssm: service.endpoint },
      ...ssm,
    },
  });

  /** The endpoints lag behind the pods: until then the Service still leads to pods that only tell why they cannot serve. */
  const carried = (name: string): Promise<number> =>
    eventually('a client is carried', async () => (await shop.psql(name, 'select 1').catch(String)) === '1\n');

  test('psql prints rows of the database on the instance and of the one behind it', async (t) => {
    await shop.secret('aws', { ...keys });
    const before = performance.now();
    await shop.portForward('on-instance', spec({ irsaRoleArn: role }));
    await shop.portForward('behind', spec({}, { destinationHost: instance.network.databaseName }));
    for (const name of ['on-instance', 'behind']) {
      await shop.ready(name);
      t.diagnostic(`${name} is Ready ${((performance.now() - before) / 1000).toFixed(1)} s after it was applied`);
    }
    await carried('on-instance');
    assert.equal(await shop.psql('on-instance', rows), 'Ada|127.0.0.1\nGrace|127.0.0.1\nBarbara|127.0.0.1\n');
    const { address } = instance.network.inside;
    await carried('behind');
    assert.equal(await shop.psql('behind', rows), `Ada|${address}\nGrace|${address}\nBarbara|${address}\n`);
  });

  test('status shows the instance and the session', async () => {
    for (const name of ['on-instance', 'behind']) {
      const [pod] = await shop.tunnelPods(name);
      const of = `portforward/${shop.namespace}/${name}/${pod?.metadata.uid}`;
      // The status is read at intervals: after a session was replaced, it shows the previous one for a moment.
      await eventually('the status shows the instance and the session that the service has', async () => {
        const { status } = await shop.get(name);
        const [tunnel] = status?.tunnels ?? [];
        const { sessions } = await service.seen();
        const isTheirs = sessions.some(({ id, reason }) => id === tunnel?.sessionId && reason === of);
        return isTheirs && status?.via === instanceId && tunnel?.via === instanceId;
      });
    }
    const [, ...lines] = (await shop.kubectl(['get', 'pf'])).trim().split('\n');
    for (const line of lines) assert.match(line, /\s+True\s+ssm\s+i-0123456789abcdef0\s/);
  });

  test('the panels of the dashboards that only ssm fills have data', () => driverPanelsFilled(cluster, 'ssm'));

  test('the role is on the ServiceAccount, the node’s role is not used, and the keys are in their files only', async () => {
    const account = ['get', 'serviceaccount', '--selector', 'portforward.dev/name=on-instance', '--output', 'json'];
    const { items } = JSON.parse(await shop.kubectl(account)) as {
      items: readonly { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } }[];
    };
    assert.deepEqual(
      items.map(({ metadata }) => metadata.annotations?.['eks.amazonaws.com/role-arn']),
      [role],
    );
    const [pod] = await shop.tunnelPods('on-instance');
    assert.ok(pod !== undefined);
    const inPod = (script: string): Promise<string> =>
      shop.kubectl(['exec', pod.metadata.name, '--', 'node', '-e', script]);
    const allowed = instance.services.map(({ endpoint }) => `--allowed-aws-endpoint=${endpoint}`).toSorted();
    const args = ['get', 'pod', pod.metadata.name, '--output', 'jsonpath={.spec.containers[0].args}'];
    const tracing = [`--trace-endpoint=${collector.url}`, '--trace-header=authorization'];
    assert.deepEqual(JSON.parse(await shop.kubectl(args)), ['sidecar', ...allowed, ...tracing]);
    const files = `require('fs').readdirSync('/etc/portforward/secrets/aws').filter((name) => !name.startsWith('..'))`;
    assert.equal(await inPod(`process.stdout.write(${files}.join())`), 'AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY');
    await assertNoLeaks(
      { cluster, shop, tunnels: ['on-instance', 'behind'] },
      new Map<string, string | RegExp>([
        ...Object.entries(keys),
        ['the token of a data channel', channelToken],
        ['the token of the receiver of traces', traceToken],
      ]),
    );
  });

  test('a collector gets the passes of the operator and the dials of a tunnel, and no Secret', async () => {
    const received = (): ReturnType<typeof collectorReads> =>
      collectorReads(collector.received.map(({ body }) => body));
    const of = (service: string, name: string, span: string) => async (): Promise<boolean> =>
      (await received()).some(
        ({ resource, attributes, name: found, status }) =>
          found === span &&
          status === 'Ok' &&
          resource['service.name'] === service &&
          { ...resource, ...attributes }['portforward.name'] === name,
      );
    for (const name of ['on-instance', 'behind']) {
      await eventually('a pass is traced', of('portforward-controller', name, 'reconcile'));
      await eventually('the way to the first session is traced', of('portforward-tunnel', name, 'connect'));
      await eventually('a dial is traced', of('portforward-tunnel', name, 'dial'));
    }
    for (const { body, headers } of collector.received) {
      // The Secret with the header's value is in the tunnels' namespace alone.
      const isTunnel = body.includes('"portforward-tunnel"');
      assert.equal(headers.authorization, isTunnel ? traceToken : undefined);
      for (const secret of [...Object.values(keys), traceToken])
        assert.ok(!body.includes(secret), 'a Secret in a trace');
      assert.doesNotMatch(body, channelToken);
    }
  });

  test('replaced keys are used without an interruption', async (t) => {
    const next = newKeys({ temporary: true });
    await service.set({ Keys: accepted(keys, next) });
    const [pod] = await shop.tunnelPods('behind');
    const sessionOf = async (): Promise<string | undefined> =>
      (await shop.get('behind')).status?.tunnels?.[0]?.sessionId;
    const first = await sessionOf();
    await shop.secret('aws', { ...next });
    const took = await eventually(
      'another session',
      async () => ![undefined, first].includes(await sessionOf()),
      90_000,
    );
    t.diagnostic(`another session ${(took / 1000).toFixed(1)} s after the Secret was changed`);
    await service.set({ Keys: accepted(next) });
    assert.equal(await shop.psql('behind', 'select 1'), '1\n');
    assert.deepEqual(
      (await shop.tunnelPods('behind')).map(({ metadata }) => metadata.uid),
      [pod?.metadata.uid],
      'the same pod',
    );
  });

  test('deleting leaves nothing, and ends the sessions at the service', async (t) => {
    const before = performance.now();
    await shop.kubectl(['delete', 'portforward', 'on-instance', 'behind', '--timeout=60s']);
    const over = async (): Promise<boolean> => (await service.seen()).sessions.length === 0;
    await eventually('no session at the service', over, 60_000);
    t.diagnostic(`every session is over ${((performance.now() - before) / 1000).toFixed(1)} s after the deletion`);
    const kinds = 'deployments,replicasets,pods,services,networkpolicies,serviceaccounts,poddisruptionbudgets';
    const left = ['get', kinds, '--selector', 'portforward.dev/name', '--output', 'name'];
    await eventually('no object is left', async () => (await shop.kubectl(left)).trim() === '', 60_000);
    assert.equal((await service.seen()).complaints, null, 'the driver kept to the protocol');
  });

  test('the node’s role is used only if the chart allows it', async (t) => {
    const { nodePid } = cluster;
    assert.ok(nodePid !== undefined);
    const ofNode = newKeys({ temporary: true });
    await service.set({ Keys: accepted(ofNode) });
    const inNode = ['--target', `${nodePid}`, '--net', '--'];
    const address = ['169.254.169.254/32', 'dev', 'lo'];
    await command('nsenter', [...inNode, 'ip', 'address', 'replace', ...address]);
    const program = join(import.meta.dirname, 'metadata-server.mjs');
    const metadata = new Child('metadata', 'nsenter', [...inNode, process.execPath, program, JSON.stringify(ofNode)]);
    t.after(async () => {
      await metadata.stop();
      await command('nsenter', [...inNode, 'ip', 'address', 'delete', ...address]);
    });
    await metadata.line(/listening/);
    const token = 'http://169.254.169.254/latest/api/token';
    assert.equal(await shop.exec(['curl', '--silent', '--request', 'PUT', token]), 'metadata-token', 'pods reach it');

    await shop.portForward('by-node', spec({ secretRef: undefined }));
    await shop.reason('by-node', 'Ready', 'CredentialsMissing');
    assert.deepEqual(metadata.log(), ['listening', 'PUT /latest/api/token'], 'the tunnel did not ask');

    await ensureOperator(cluster, { values: { ...values, allowNodeRole: 'true' } });
    const seconds = await shop.ready('by-node', 120);
    t.diagnostic(`Ready by the node’s role ${seconds.toFixed(1)} s after the chart allowed it`);
    await carried('by-node');
    // The previous pod is ending: nothing can be looked up in it any more.
    await shop.kubectl(['rollout', 'status', 'deployment/pf-by-node', '--timeout=60s']);
    const hidden = new Map<string, string | RegExp>([...Object.entries(ofNode), ['a channel’s token', channelToken]]);
    await assertNoLeaks({ cluster, shop, tunnels: ['by-node'] }, hidden);
  });
});
