// A release, installed from its folder as a user would: the image by its digest, the chart from its package, the command as its one file.
// Neighbours: test/support/release/ makes the folder; test/integration/release/ judges what is in it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
import { releaseFolder, version } from '../support/release/release-folder.ts';

const name = 'release-test';
const repository = 'localhost/portforward/released';

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;
let folder: string;
let work: string;
let image: string;

suite('a release', () => {
  before(async () => {
    ({ folder } = await releaseFolder());
    work = mkdtempSync(join(tmpdir(), 'portforward-release-test-'));
    cluster = await ensureCluster();
    // It owns the definition of the resource; the release has a class of its own beside it.
    await ensureOperator(cluster);
    await cluster.clientImage();
    network = await startPrivateNetwork();
    for (const { name: host, address } of Object.values(network.bastions)) {
      await cluster.registerHostDns(host, [address]);
    }
    await removeRelease();
    shop = await Shop.create(cluster, 'release-shop');
    await shop.client();
    image = await loadImage();
  });
  after(async () => {
    await shop?.delete();
    if (cluster !== undefined) await removeRelease();
    if (image !== undefined) await cluster.removeImage(image).catch(() => {});
    await network?.stop();
    if (work !== undefined) rmSync(work, { recursive: true, force: true });
  });

  test('its chart installs its image by digest, and a PortForward becomes Ready', async () => {
    await helm([
      'install',
      name,
      join(folder, `portforward-${version}.tgz`),
      '--namespace',
      name,
      '--create-namespace',
      '--wait',
      '--timeout',
      '3m',
      ...set('image.repository', repository),
      ...set('image.digest', image.split('@')[1] ?? ''),
      ...set('image.pullPolicy', 'Never'),
      ...set('className', name),
      ...set('crds.enabled', 'false'),
      ...set('replicaCount', '1'),
    ]);
    const { a } = network.bastions;
    await shop.secret('orders-bastion', { 'ssh-privatekey': network.key.privateKey });
    await shop.portForward('orders-db', {
      className: name,
      replicas: 1,
      ports: [{ port: 5432, destinationHost: network.databaseName, appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.name }],
        secretRef: { name: 'orders-bastion' },
        knownHosts: network.knownHosts,
      },
    });
    await shop.ready('orders-db', 120);
    await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=60s']);
    assert.equal(await shop.psql('orders-db', 'select customer from orders where id = 1'), 'Ada\n');
    const images = await shop.kubectl([
      'get',
      'pods',
      '--selector',
      'portforward.dev/name=orders-db',
      '--output',
      'jsonpath={.items[*].spec.containers[*].image}',
    ]);
    assert.equal(images, image);
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

  test('uninstalled, it leaves the definition, the PortForward and its running tunnel, and nothing else', async () => {
    await helm(['uninstall', name, '--namespace', name, '--wait']);
    const own = ['get', 'lease,role,rolebinding,service,serviceaccount', '--namespace', name, '--output', 'name'];
    // The Lease goes with the account, by the garbage collector; the namespace has an account of its own.
    await eventually('the Lease is gone', async () => (await cluster.kubectl(own)).trim() === 'serviceaccount/default');
    const everywhere = 'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding';
    const left = await cluster.kubectl(['get', everywhere, '--output', 'name']);
    assert.doesNotMatch(left, new RegExp(name));
    assert.match(await shop.kubectl(['get', 'portforward', 'orders-db', '--output', 'name']), /orders-db/);
    assert.equal(await shop.psql('orders-db', 'select customer from orders where id = 1'), 'Ada\n');
  });
});

const set = (value: string, text: string): string[] => ['--set', `${value}=${text}`];

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
