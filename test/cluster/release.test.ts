// A release, installed from its folder as a user would: the image by its digest, the chart from its package, the command as its one file.
// It is tested by helm test, upgraded, rolled back and uninstalled under a client that connects all the time.
// Neighbours: test/support/release/ makes the folder; test/integration/release/ judges what is in it; steady-client.mjs (the client).
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { cachedProgram } from '../../lab/base/places.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { Child } from '../../lab/process/child.ts';
import { command } from '../../lab/process/command.ts';
import { OciLayout } from '../../scripts/release/oci-layout.ts';
import { customers, documentThrough, localPort } from '../integration/cli/laptop.ts';
import { earlierRelease } from '../support/release/earlier-release.ts';
import { releaseFolder, version } from '../support/release/release-folder.ts';
import { inventory } from './inventory.ts';

const name = 'release-test';
const root = join(import.meta.dirname, '..', '..');
const steadyClient = readFileSync(join(import.meta.dirname, 'steady-client.mjs'), 'utf8');
/** A commit: the upgrade is from its chart and image (CONTRIBUTING.md). Default: from the release to the sources. */
const { PORTFORWARD_UPGRADE_FROM: upgradeFrom } = process.env;
const repository = 'localhost/portforward/released';

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;
let folder: string;
let work: string;
let image: string;
/** The image of the sources. */
let other: string;
/** Before the release was there: what no namespace has. */
let beforeRelease: string[];

suite('a release', () => {
  before(async () => {
    ({ folder } = await releaseFolder());
    work = mkdtempSync(join(tmpdir(), 'portforward-release-test-'));
    cluster = await ensureCluster();
    // It owns the definition of the resource; the release has a class of its own beside it.
    ({ image: other } = await ensureOperator(cluster));
    await cluster.clientImage();
    network = await startPrivateNetwork();
    for (const { name: host, address } of Object.values(network.bastions)) {
      await cluster.registerHostDns(host, [address]);
    }
    await removeRelease();
    shop = await Shop.create(cluster, 'release-shop');
    await shop.client();
    await shop.client('steady', other);
    image = await loadImage();
    await cluster.kubectl(['create', 'namespace', name]);
    await cluster.kubectl(['label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted']);
    // Other tests leave theirs to end in the background.
    const phases = ['get', 'namespaces', '--output', 'jsonpath={.items[*].status.phase}'];
    await eventually(
      'no namespace is on its way out',
      async () => !(await cluster.kubectl(phases)).includes('Terminating'),
      120_000,
    );
    beforeRelease = await inventory(cluster);
  });
  after(async () => {
    await shop?.delete();
    if (cluster !== undefined) await removeRelease();
    if (image !== undefined) await cluster.removeImage(image).catch(() => {});
    await network?.stop();
    if (work !== undefined) rmSync(work, { recursive: true, force: true });
  });

  test('its chart installs its image by digest, and a PortForward becomes Ready', async () => {
    await helm(['install', name, join(folder, `portforward-${version}.tgz`), ...settings(image)]);
    const { a } = network.bastions;
    await shop.secret('orders-bastion', { 'ssh-privatekey': network.key.privateKey });
    await shop.portForward('orders-db', {
      className: name,
      replicas: 1,
      ports: [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql' }],
      // Long enough for a busy machine.
      connection: { drainTimeoutSeconds: 300 },
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.name }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: network.knownHosts,
      },
    });
    await shop.ready('orders-db', 120);
    await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=60s']);
    // The endpoints lag behind the pods.
    const first = 'select customer from orders where id = 1';
    await eventually('psql is carried', async () => (await shop.psql('orders-db', first).catch(String)) === 'Ada\n');
    assert.deepEqual(await tunnelImages(), [image]);
  });

  test('its one file carries psql to the same database, with nothing in the environment', async () => {
    const { a } = network.bastions;
    const keys = join(work, 'keys');
    mkdirSync(keys);
    writeFileSync(join(keys, 'ssh-privatekey'), network.key.privateKey, { mode: 0o600 });
    const ports = [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql' }];
    const knownHosts = network.knownHosts.replaceAll(a.name, a.address);
    const file = join(work, 'orders-db.yaml');
    writeFileSync(file, documentThrough({ ...a, host: a.address, user: 'tunnel' }, { ports, ssh: { knownHosts } }));
    const program = join(folder, `portforward-${version}-linux-${process.arch}`);
    const call = ['open', '-f', file, '--secret', `orders-bastion=${keys}`, '--port', '0:5432'];
    const opened = new Child('portforward', 'env', ['-i', program, ...call], {});
    try {
      const port = await localPort(opened, 'p5432');
      await opened.line(/the destination answers/);
      assert.equal(await customers(network.postgres, port), 'Ada\nGrace\nBarbara\n');
    } finally {
      await opened.stop();
    }
  });

  test('helm test finds that it works, in a namespace under Pod Security restricted, and leaves nothing', async (t) => {
    const before = await inventory(cluster, name);
    // Helm prints the pod's log to standard error.
    const call = [
      '-c',
      'exec "$0" "$@" 2>&1',
      cachedProgram('helm'),
      'test',
      name,
      '--namespace',
      name,
      '--hide-notes',
    ];
    const said = await command('sh', call, { env: { KUBECONFIG: cluster.kubeconfig }, timeoutMs: 300_000 });
    t.diagnostic(said);
    assert.match(said, /Phase: +Succeeded/);
    const findings = said.match(/^(ok|FAIL) .*$/gm) ?? [];
    assert.equal(findings.length, 5, said);
    for (const finding of findings) assert.match(finding, /^ok /);
    assert.match(said, /the controller release-test-portforward-\S+ leads/);
    // The cluster has two installs, and either may be first.
    assert.match(said, /is refused by the policy \S+-portforward-references$/m);
    const secrets = (names: readonly string[]): string[] => names.filter((each) => !each.startsWith('secret/sh.helm.'));
    assert.deepEqual(secrets(await inventory(cluster, name)), secrets(before));
  });

  test('an upgrade and a rollback drop no new connection, and let one that is open finish', async (t) => {
    const released = { chart: join(folder, `portforward-${version}.tgz`), image };
    const sources = { chart: join(root, 'helm'), image: other };
    const [former, next] =
      upgradeFrom === undefined ? [released, sources] : [await earlierRelease(cluster, upgradeFrom), released];
    if (former.image !== image) {
      await helm(['upgrade', name, former.chart, ...settings(former.image)]);
      await untilOn(former.image);
    }
    const steady = shop.exec(['node', '--input-type=module', '-', 'orders-db'], {
      pod: 'steady',
      input: steadyClient,
      timeoutMs: 600_000,
    });
    await duringOneConnection(async () => {
      await helm(['upgrade', name, next.chart, ...settings(next.image)]);
      await untilReplaced(next.image);
    });
    await untilOn(next.image);
    await duringOneConnection(async () => {
      await helm(['rollback', name, '--namespace', name, '--wait', '--timeout', '3m']);
      await untilReplaced(former.image);
    });
    await untilOn(former.image);
    await shop.exec(['node', '-e', "require('node:fs').writeFileSync('/tmp/stop', '')"], { pod: 'steady' });
    const output = await steady;
    t.diagnostic(output);
    const seen = JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
      readonly attempts: number;
      readonly failures: readonly string[];
    };
    assert.ok(seen.attempts > 20, output);
    assert.deepEqual(seen.failures, []);
  });

  test('uninstalled, it leaves the definition, the PortForward and its running tunnel, and nothing else', async () => {
    const pods = ['get', 'pods', '--selector', 'portforward.dev/name=orders-db', '--output', 'name'];
    await eventually(
      'former pods are gone',
      async () => (await shop.kubectl(pods)).trim().split('\n').length === 1,
      120_000,
    );
    const tunnel = await inventory(cluster, shop.namespace);
    await helm(['uninstall', name, '--namespace', name, '--wait']);
    // The Lease goes with the account, by the garbage collector, and the pod with its Deployment: Helm waits for the Deployment alone.
    const last = ['get', 'lease,pods', '--namespace', name, '--output', 'name'];
    await eventually('Lease and pods are gone', async () => (await cluster.kubectl(last)).trim() === '', 60_000);
    // What each namespace has of its own.
    assert.deepEqual(await inventory(cluster, name), ['configmap/kube-root-ca.crt', 'serviceaccount/default']);
    assert.deepEqual(await inventory(cluster), beforeRelease);
    assert.ok(beforeRelease.includes('customresourcedefinition.apiextensions.k8s.io/portforwards.portforward.dev'));
    assert.deepEqual(await inventory(cluster, shop.namespace), tunnel);
    assert.ok(tunnel.includes('portforward.portforward.dev/orders-db'), tunnel.join('\n'));
    assert.equal(await shop.psql('orders-db', 'select customer from orders where id = 1'), 'Ada\n');
  });
});

const set = (value: string, text: string): string[] => ['--set', `${value}=${text}`];

/** Where and with which values the chart is installed, for that image. */
function settings(reference: string): string[] {
  const [named = '', digest = ''] = reference.split('@');
  const [place = '', tag = ''] = named.split(/:(?=[^:/]+$)/);
  return [
    '--namespace',
    name,
    '--wait',
    '--timeout',
    '3m',
    ...set('image.repository', place),
    ...set('image.tag', tag),
    ...set('image.digest', digest),
    ...set('image.pullPolicy', 'Never'),
    ...set('className', name),
    ...set('crds.enabled', 'false'),
    ...set('replicaCount', '1'),
  ];
}

/** The images of the tunnel's pods that are not being ended. */
async function tunnelImages(): Promise<string[]> {
  const selector = ['--selector', 'portforward.dev/name=orders-db'];
  const pods = JSON.parse(await shop.kubectl(['get', 'pods', ...selector, '--output', 'json'])) as {
    readonly items: readonly {
      readonly metadata: { readonly deletionTimestamp?: string };
      readonly spec: { readonly containers: readonly { readonly image: string }[] };
    }[];
  };
  return pods.items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap(({ spec }) => spec.containers.map((container) => container.image));
}

/** Every pod that is not of that image has been told to end: a new one was ready before. */
const untilReplaced = (reference: string): Promise<number> =>
  eventually(
    `the tunnel runs ${reference}`,
    async () => [...new Set(await tunnelImages())].join() === reference,
    180_000,
  );

/** The same, and the former pods are gone. */
async function untilOn(reference: string): Promise<void> {
  await untilReplaced(reference);
  await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=120s']);
}

/** Holds one connection of psql open while `work` goes on, and then lets its query come to an end. */
async function duringOneConnection(work: () => Promise<void>): Promise<void> {
  const until = (holds: string): string =>
    `do $$ begin while not exists (select from pg_locks where locktype = 'advisory' and objid = 7 and ${holds}) loop perform pg_sleep(0.1); end loop; end $$`;
  // It holds the lock until another session waits for it.
  const open = query(`select pg_advisory_lock(7); ${until('not granted')}; select 'finished'`);
  await Promise.race([query(until('granted')), open]);
  await work();
  // Over a connection of its own; it gets the lock once the first has ended.
  await query('select pg_advisory_lock(7)');
  assert.match(await open, /finished/);
}

/** In the client's pod, for as long as an upgrade may take. */
function query(text: string): Promise<string> {
  const to = 'host=orders-db user=orders dbname=orders password=correct-horse connect_timeout=60';
  return shop.exec(['psql', '--no-psqlrc', '-At', '-c', text, to], { timeoutMs: 600_000 });
}

function helm(args: readonly string[]): Promise<string> {
  return command(cachedProgram('helm'), args, { env: { KUBECONFIG: cluster.kubeconfig }, timeoutMs: 300_000 });
}

/** Also what a killed run left behind. */
async function removeRelease(): Promise<void> {
  await helm(['uninstall', name, '--namespace', name, '--ignore-not-found', '--wait']);
  await cluster.kubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=120s']);
}

/** Loads the archive's own content under a name with its digest, as a node has it that pulled it from a registry. */
async function loadImage(): Promise<string> {
  const directory = join(work, 'image');
  mkdirSync(directory);
  const archive = join(folder, `portforward-image-${version}.oci.tar`);
  await command('tar', ['--extract', '--file', archive, '--directory', directory]);
  const [named] = OciLayout.open(directory).index().manifests;
  assert.ok(named);
  const reference = `${repository}@${named.digest}`;
  const annotations = { 'io.containerd.image.name': reference };
  const index = { schemaVersion: 2, manifests: [{ ...named, annotations }] };
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index));
  const renamed = join(work, 'image.tar');
  await command('tar', ['--create', '--file', renamed, '--directory', directory, '.']);
  await cluster.loadImage(renamed);
  return reference;
}
