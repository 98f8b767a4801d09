// Bad worlds in which the pod itself cannot run, because of the cluster and not of the document: a missing image, and a namespace whose Pod
// Security refuses what somebody else's admission webhook made of the pod. Each is reported within 15 s and recovers by itself.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';

const root = join(import.meta.dirname, '..', '..');
const ownRepository = 'localhost/portforward/vanishing';

let cluster: Cluster;
let network: PrivateNetwork;

const spec = (more: object = {}): object => {
  const { a } = network.bastions;
  return {
    ...more,
    replicas: 1,
    ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
    ssh: {
      user: 'tunnel',
      bastions: [{ host: a.address }],
      secretRef: { name: 'bastion' },
      knownHosts: a.knownHosts({ name: a.address }),
    },
  };
};

suite('pod worlds', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    network = await startPrivateNetwork();
  });
  after(async () => {
    await network?.stop();
  });

  test('the image cannot be pulled', async (t) => {
    // An install of its own class and image, so that no other test misses it.
    const image = `${ownRepository}:test`;
    const build = { dockerfile: join(root, 'Dockerfile'), context: root, tag: image, target: 'prebuilt' };
    const { archive } = await cluster.buildImage(build);
    const operator = await ensureOperator(cluster, {
      release: 'vanishing',
      namespace: 'vanishing-system',
      values: {
        'crds.enabled': 'false',
        'image.repository': ownRepository,
        'image.tag': 'test',
        'image.pullPolicy': 'IfNotPresent',
        className: 'vanishing',
      },
    });
    t.after(() => operator.uninstall());
    const shop = await Shop.create(cluster, 'world-image');
    t.after(() => shop.delete());
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
    await cluster.removeImage(image);
    await shop.portForward('db', spec({ className: 'vanishing' }));
    const seconds = await shop.reason('db', 'Ready', 'ImagePullFailed');
    const ready = await shop.condition('db', 'Ready');
    t.diagnostic(`ImagePullFailed after ${seconds.toFixed(1)} s: ${ready?.message}`);
    assert.ok(ready?.message.includes(image), ready?.message);
    await cluster.loadImage(archive);
    t.diagnostic(`healed ${(await shop.ready('db', 120)).toFixed(1)} s after the image was there`);
  });

  test('Pod Security refuses the pod', async (t) => {
    const shop = await Shop.create(cluster, 'world-security');
    t.after(() => shop.delete());
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
    // Does what a careless injector does: the pod asks for more than the namespace allows.
    const metadata = { name: 'world-security' };
    const policy = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicy',
      metadata,
      spec: {
        failurePolicy: 'Fail',
        reinvocationPolicy: 'Never',
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        },
        mutations: [
          {
            patchType: 'ApplyConfiguration',
            applyConfiguration: { expression: 'Object{spec: Object.spec{hostNetwork: true}}' },
          },
        ],
      },
    };
    const binding = {
      apiVersion: policy.apiVersion,
      kind: 'MutatingAdmissionPolicyBinding',
      metadata,
      spec: {
        policyName: metadata.name,
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': shop.namespace } } },
      },
    };
    const remove = (): Promise<string> =>
      cluster.kubectl([
        'delete',
        'mutatingadmissionpolicybinding,mutatingadmissionpolicy',
        metadata.name,
        '--ignore-not-found',
      ]);
    t.after(remove);
    await shop.apply(policy, binding);
    // A policy takes effect a moment after it is stored: wait until a pod is refused because of it.
    const probe = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe' }, spec: restrictedPod };
    for (const deadline = performance.now() + 20_000; ; ) {
      const refused = await shop
        .kubectl(['create', '--dry-run=server', '--filename', '-'], { input: JSON.stringify(probe) })
        .then(
          () => false,
          (error: unknown) => /violates PodSecurity/.test(String(error)),
        );
      if (refused) break;
      assert.ok(performance.now() < deadline, 'the policy takes effect');
    }
    await shop.portForward('db', spec());
    const seconds = await shop.reason('db', 'Ready', 'PodSecurityViolation');
    const ready = await shop.condition('db', 'Ready');
    t.diagnostic(`PodSecurityViolation after ${seconds.toFixed(1)} s: ${ready?.message}`);
    assert.match(ready?.message ?? '', /restricted.*host namespaces/);
    await remove();
    t.diagnostic(`healed ${(await shop.ready('db', 120)).toFixed(1)} s after the policy was removed`);
  });
});

const restrictedPod = {
  securityContext: { runAsNonRoot: true, runAsUser: 65534, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    {
      name: 'probe',
      image: 'localhost/none',
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    },
  ],
};
