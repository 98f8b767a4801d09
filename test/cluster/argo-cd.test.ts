// GitOps by a real Argo CD: it installs the chart and PortForwards from a git repository, shows the health of real objects, follows commits
// to the pods, takes drift back, runs our actions and sees no difference that stays.
// Neighbours: test/support/argo-cd/; argo-cd-scripts.test.ts judges the scripts alone; docs/gitops.md is what this proves.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { readPage } from '../integration/docs/markdown.ts';
import { Application, exampleApplication } from '../support/argo-cd/application.ts';
import { type ArgoCd, startArgoCd } from '../support/argo-cd/argo-cd.ts';
import { GitRepository } from '../support/argo-cd/repository.ts';

const root = join(import.meta.dirname, '..', '..');
const className = 'argo-cd';
const operatorNamespace = 'argo-cd-operator';

/** What the page tells people to put into `argocd-cm`. */
const settings = readPage('docs/gitops.md')
  .blocks.filter(({ language, text }) => language === 'yaml' && text.startsWith('resource.customizations.health.'))
  .map(({ text }) => parse(text) as Record<string, string>)[0];

/** What Argo CD's own installation has there. */
const ownSettings = {
  'resource.customizations.ignoreResourceUpdates.all': 'jsonPointers:\n  - /status\n',
  'timeout.reconciliation.jitter': '0s',
};

let cluster: Cluster;
let network: PrivateNetwork;
let argoCd: ArgoCd;
let repository: GitRepository;
let shop: Shop;
let platform: Application;
let tunnels: Application;

/** The document in Git: a fixture of one bastion, with what each commit changes. */
function orders(change: object = {}, port: object = {}, metadata: object = {}): string {
  const { a } = network.bastions;
  return stringify({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'orders-db', namespace: shop.namespace, ...metadata },
    spec: {
      className,
      replicas: 1,
      ports: [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql', ...port }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: a.knownHosts({ name: a.address }),
      },
      ...change,
    },
  });
}

suite('Argo CD', () => {
  before(async () => {
    cluster = await ensureCluster();
    const { image } = await ensureOperator(cluster);
    network = await startPrivateNetwork();
    shop = await Shop.create(cluster, 'argo-cd-shop');
    assert.ok(settings, 'docs/gitops.md has the settings');
    argoCd = await startArgoCd(cluster, { ...ownSettings, ...settings });
    repository = await GitRepository.create();
    repository.copy(join(root, 'helm'), 'chart');
    platform = new Application(cluster, argoCd, 'argo-platform');
    tunnels = new Application(cluster, argoCd, 'shop-tunnels');
    const [name = '', tag = ''] = image.split(':');
    values = { image: { repository: name, tag, pullPolicy: 'Never' }, className, replicaCount: 1 };
  });
  after(async () => {
    await argoCd?.stop();
    repository?.[Symbol.dispose]();
    await shop?.delete();
    if (cluster !== undefined) {
      await cluster.kubectl(['delete', 'namespace', operatorNamespace, '--ignore-not-found', '--timeout=120s']);
    }
    await network?.stop();
  });

  let values: object;

  test('installs definition, operator and a first tunnel in one sync, in that order', async (t) => {
    // Waves as the page says: the chart first, what needs its definition after it.
    const options = { 'argocd.argoproj.io/sync-options': 'SkipDryRunOnMissingResource=true' };
    const annotations = { 'argocd.argoproj.io/sync-wave': '1', ...options };
    const first = orders({ suspend: true }, {}, { name: 'first', annotations });
    const revision = await repository.commit('The platform', { 'first/first.yaml': first });
    const document = exampleApplication('operator.yaml', ({ metadata, spec }) => {
      metadata.name = platform.name;
      const { helm } = spec['source'] as { helm: object };
      const source = { repoURL: repository.url, targetRevision: 'main' };
      delete spec['source'];
      spec['sources'] = [
        { ...source, path: 'chart', helm: { ...helm, valuesObject: values } },
        { ...source, path: 'first' },
      ];
      spec['destination'] = { server: argoCd.destination, namespace: operatorNamespace };
    });
    const began = performance.now();
    await platform.apply(document);
    await platform.synced(revision, 120_000);
    t.diagnostic(`synced after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const { status } = await platform.get();
    const result = (status.operationState?.syncResult?.resources ?? []).map(({ kind }) => kind);
    const at = (kind: string): number => result.indexOf(kind);
    assert.ok(
      at('CustomResourceDefinition') >= 0 && at('CustomResourceDefinition') < at('Deployment'),
      result.join(', '),
    );
    assert.ok(at('Deployment') < at('PortForward'), result.join(', '));
    assert.match(await platform.health('first', 'Suspended'), /suspend/);
  });

  test('sees no difference to the chart that stays', async () => {
    const { status } = await platform.get('hard-refresh');
    const different = status.resources?.filter((each) => each.status !== 'Synced');
    assert.deepEqual(different, []);
    assert.equal(await platform.cli(['diff'], ['--exit-code']), '');
  });

  test('follows a commit from Progressing to Healthy, to the pods', async (t) => {
    const revision = await repository.commit('Add orders-db', { 'tunnels/orders-db.yaml': orders() });
    const document = exampleApplication('tunnels.yaml', ({ spec }) => {
      spec['source'] = { repoURL: repository.url, targetRevision: 'main', path: 'tunnels' };
      spec['destination'] = { server: argoCd.destination, namespace: shop.namespace };
    });
    await tunnels.apply(document);
    await tunnels.synced(revision);
    const waiting = await tunnels.health('orders-db', 'Progressing');
    t.diagnostic(`Progressing: ${waiting}`);
    await shop.secret('orders-bastion', { 'ssh-privatekey': network.key.privateKey });
    t.diagnostic(`Healthy: ${await tunnels.health('orders-db', 'Healthy')}`);
    assert.equal((await shop.tunnelPods('orders-db')).length, 1);
  });

  test('follows a change to the pods, and sees no difference afterwards', async () => {
    const revision = await repository.commit('Two pods', { 'tunnels/orders-db.yaml': orders({ replicas: 2 }) });
    await tunnels.synced(revision);
    await eventually('there are two pods', async () => (await shop.tunnelPods('orders-db')).length === 2);
    await tunnels.health('orders-db', 'Healthy');
    assert.equal(await tunnels.cli(['diff'], ['--exit-code']), '');
  });

  test('reports what the API server says of a broken document, and the tunnel lives on until it is repaired', async (t) => {
    await repository.commit('Break it', { 'tunnels/orders-db.yaml': orders({ replicas: 2 }, { port: 99_999 }) });
    const message = await tunnels.fails();
    t.diagnostic(message);
    assert.match(message, /spec\.ports\[\d\]\.port/);
    await tunnels.health('orders-db', 'Healthy');
    const revision = await repository.commit('Repair it', { 'tunnels/orders-db.yaml': orders({ replicas: 2 }) });
    await tunnels.synced(revision);
  });

  test('shows a transient outage as Degraded, and Healthy after it', async (t) => {
    const { a } = network.bastions;
    await a.refuse();
    t.diagnostic(`Degraded: ${await tunnels.health('orders-db', 'Degraded')}`);
    await a.heal();
    await tunnels.health('orders-db', 'Healthy');
  });

  test('runs our actions, and leaves alone what they set where Git does not name it', async () => {
    const run = (action: string): Promise<string> => argoCd.cli(['app', 'actions', 'run', tunnels.name, action, ...of]);
    const of = ['--kind', 'PortForward', '--resource-name', 'orders-db'];
    const list = await tunnels.cli(['actions', 'list'], of);
    for (const action of ['reconnect', 'resume', 'suspend']) assert.match(list, new RegExp(`\\b${action}\\b`));
    await run('suspend');
    await tunnels.health('orders-db', 'Suspended');
    // Self-heal has looked at it since.
    const { status } = await tunnels.get('hard-refresh');
    assert.equal(status.sync.status, 'Synced');
    assert.equal(await shop.kubectl(['get', 'pf', 'orders-db', '--output', 'jsonpath={.spec.suspend}']), 'true');
    await run('resume');
    await tunnels.health('orders-db', 'Healthy');
    const template = 'jsonpath={.spec.template.metadata.annotations}';
    const before = await shop.kubectl(['get', 'deployment', 'pf-orders-db', '--output', template]);
    await run('reconnect');
    await eventually(
      'the pods are replaced',
      async () => (await shop.kubectl(['get', 'deployment', 'pf-orders-db', '--output', template])) !== before,
    );
    await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=60s']);
    assert.equal((await tunnels.get('hard-refresh')).status.sync.status, 'Synced');
  });

  test('takes back what somebody changes by hand', async () => {
    await shop.kubectl(['scale', '--replicas=0', 'pf/orders-db']);
    const replicas = ['get', 'pf', 'orders-db', '--output', 'jsonpath={.spec.replicas}'];
    await eventually('Git wins', async () => {
      await tunnels.get('refresh');
      return (await shop.kubectl(replicas)) === '2';
    });
    await tunnels.health('orders-db', 'Healthy');
  });

  test('sees no difference without server-side comparison where the document names the defaults inside its lists', async () => {
    const { a } = network.bastions;
    const { spec } = parse(orders({ replicas: 2 })) as { spec: { ssh: object } };
    const ssh = { ...spec.ssh, bastions: [{ host: a.address, port: 22 }] };
    const named = orders({ replicas: 2, ssh }, { destinationPort: 5432 });
    const revision = await repository.commit('Name the defaults', { 'tunnels/orders-db.yaml': named });
    await tunnels.synced(revision);
    const annotation = 'argocd.argoproj.io/compare-options-';
    await cluster.kubectl(['annotate', 'application', tunnels.name, '--namespace', 'argocd', annotation]);
    const { status } = await tunnels.get('hard-refresh');
    assert.deepEqual(
      status.resources?.map((each) => each.status),
      ['Synced'],
    );
  });

  test('ends the tunnel of a document that leaves Git', async () => {
    // Argo CD prunes nothing where nothing would be left (allowEmpty).
    const left = orders({ suspend: true }, {}, { name: 'stock-db' });
    const revision = await repository.commit('Remove it', {
      'tunnels/orders-db.yaml': undefined,
      'tunnels/stock-db.yaml': left,
    });
    await tunnels.synced(revision);
    await shop.kubectl(['wait', '--for=delete', 'pf/orders-db', '--timeout=60s']);
    await shop.kubectl(['wait', '--for=delete', 'deployment/pf-orders-db', '--timeout=60s']);
  });

  test('the chart’s Application goes, and the definition stays with the PortForwards of others', async () => {
    await platform.delete();
    const definition = ['get', 'crd', 'portforwards.portforward.dev', '--output', 'name'];
    assert.match(await cluster.kubectl(definition), /portforwards/);
  });
});
