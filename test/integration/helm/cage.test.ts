// What a thief of the controller's token got through before the cage was an allow-list, as docs/security.md lists it: now refused.
// Neighbours: cage-world.ts; cage-walk.test.ts asks for every field of the API server's own schema.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CageWorld, type Loose } from './cage-world.ts';
import { controllerUser, namespace } from './chart.ts';

let world: CageWorld;
before(async () => {
  world = await CageWorld.start();
});
after(() => world?.stop());

type Change = (parts: { readonly object: Loose; readonly pod: Loose; readonly container: Loose }) => unknown;

const secretVolume = (items: readonly object[], name = 's'): object => ({
  name: 'secret-1',
  secret: { secretName: name, optional: true, defaultMode: 0o440, items },
});
const secretMount = (more: object = {}): object => ({
  name: 'secret-1',
  mountPath: '/etc/portforward/secrets/s',
  readOnly: true,
  ...more,
});
const passwordItem = { key: 'password', path: 'password' };

/** Row of docs/security.md and what is tried → the sentence. All else is as the controller writes it. */
const attacks: Readonly<Record<string, readonly [change: Change, sentence: RegExp]>> = {
  'F1: a key of a Secret as a file of another name': [
    ({ pod }) => pod['volumes'].push(secretVolume([{ key: 'password', path: 'AWS_ACCESS_KEY_ID' }])),
    /documented keys of Secrets, each under its own name/,
  ],
  'F1: a key with a mode': [
    ({ pod }) => pod['volumes'].push(secretVolume([{ ...passwordItem, mode: 0o777 }])),
    /documented keys of Secrets, each under its own name/,
  ],
  'F1: a Secret in the folder of another': [
    ({ pod, container }) => {
      pod['volumes'].push(secretVolume([passwordItem]));
      container['volumeMounts'].push(secretMount({ mountPath: '/etc/portforward/secrets/other' }));
    },
    /mounts each Secret whole at its own folder/,
  ],
  'F1: one file of a Secret by subPath': [
    ({ pod, container }) => {
      pod['volumes'].push(secretVolume([passwordItem]));
      container['volumeMounts'].push(secretMount({ subPath: 'password' }));
    },
    /mounts each Secret whole at its own folder/,
  ],
  'F1: any ConfigMap': [
    ({ pod }) => pod['volumes'].push({ name: 'ca', configMap: { name: 'kube-root-ca.crt', optional: true } }),
    /and the chart's certificates/,
  ],
  'F1: another address for signed requests': [
    ({ container }) => container['args'].push('--allowed-aws-endpoint=https://thief.example.com'),
    /only the permissions that the chart gives/,
  ],
  'F1: a proxy of the thief': [
    ({ container }) => container['env'].push({ name: 'HTTPS_PROXY', value: 'http://thief.example.com:3128' }),
    /with the chart's values/,
  ],
  'F1: an address in the place of a region': [
    ({ container }) => container['env'].push({ name: 'AWS_REGION', value: 'thief.example.com/' }),
    /with the chart's values/,
  ],
  'F3: host keys that are not checked': [
    ({ container }) => container['args'].push('--allow-insecure-host-keys'),
    /only the permissions that the chart gives/,
  ],
  'F3: no readiness probe': [
    ({ container }) => delete container['readinessProbe'],
    /not spec\.template\.spec\.containers\.readinessProbe/,
  ],
  'F3: a label that another Service selects': [
    ({ object }) => (object['spec'].template.metadata.labels['app'] = 'payments'),
    /not spec\.template\.metadata\.labels\.app/,
  ],
  'F4: the role of the node': [
    ({ container }) => container['args'].push('--allow-node-role'),
    /only the permissions that the chart gives/,
  ],
  'the slower data path': [
    ({ container }) => container['args'].push('--no-native-data-path'),
    /only the permissions that the chart gives/,
  ],
  'F4: an API of fly.io that gets the token': [
    ({ container }) => container['args'].push('--fly-api-url=https://thief.example.com'),
    /only the permissions that the chart gives/,
  ],
  'F5: an owner of a version that does not exist': [
    ({ object }) => (object['metadata'].ownerReferences[0].apiVersion = 'portforward.dev/v9'),
    /only objects that a PortForward controls/,
  ],
  'F5: a finalizer': [
    ({ object }) => (object['metadata'].finalizers = ['example.com/keep']),
    /not metadata\.finalizers/,
  ],
  'F5: a second owner': [
    ({ object }) =>
      object['metadata'].ownerReferences.push({ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u-1' }),
    /no owner but the PortForward/,
  ],
  'F6: a port of the node': [({ container }) => (container['ports'][0].hostPort = 5432), /none on its node/],
  'F7: a probe of another host': [
    ({ container }) => (container['livenessProbe'].httpGet.host = '10.0.0.1'),
    /not spec\.template\.spec\.containers\.livenessProbe/,
  ],
  'F8: an annotation of AppArmor': [
    ({ object }) =>
      (object['spec'].template.metadata.annotations['container.apparmor.security.beta.kubernetes.io/tunnel'] =
        'unconfined'),
    /not spec\.template\.metadata\.annotations\.container\.apparmor/,
  ],
  'F8: a writable root': [
    ({ container }) => (container['securityContext'].readOnlyRootFilesystem = false),
    /not spec\.template\.spec\.containers\.securityContext/,
  ],
  'F8: the group root': [
    ({ pod }) => (pod['securityContext'].fsGroup = 0),
    /not spec\.template\.spec\.securityContext/,
  ],
  'F8: name servers': [
    ({ pod }) => Object.assign(pod, { dnsPolicy: 'None', dnsConfig: { nameservers: ['8.8.8.8'] } }),
    /not spec\.template\.spec\.dns(Policy|Config), spec\.template\.spec\.dns/,
  ],
  'F8: a device': [
    ({ container }) => (container['resources'].claims = [{ name: 'gpu' }]),
    /not spec\.template\.spec\.containers\.resources\.claims|not found|must be/,
  ],
  'F9: an injector’s annotation': [
    ({ object }) => (object['spec'].template.metadata.annotations['sidecar.istio.io/inject'] = 'true'),
    /not spec\.template\.metadata\.annotations\.sidecar\.istio\.io\/inject/,
  ],
  'the mark of another install': [
    ({ object }) => (object['metadata'].annotations['portforward.dev/install'] = 'team-b/portforward'),
    /not metadata\.annotations\.portforward\.dev\/install/,
  ],
  'F28: an image whose name goes on behind ours': [
    ({ container }) => (container['image'] = 'ghcr.io/portforward/portforward:5000/evil:1'),
    /runs the image ghcr\.io\/portforward\/portforward:0\.1\.0/,
  ],
  'F28: another version of our image': [
    ({ container }) => (container['image'] = 'ghcr.io/portforward/portforward:0.0.9'),
    /runs the image ghcr\.io\/portforward\/portforward:0\.1\.0/,
  ],
};

for (const [what, [change, sentence]] of Object.entries(attacks)) {
  test(`with the controller’s own token no tunnel pod gets this: ${what}`, async () => {
    const object = world.child('Deployment');
    const pod = object['spec'].template.spec as Loose;
    change({ object, pod, container: pod['containers'][0] });
    await world.refused(object, sentence);
  });
}

/** Kind, row and what is tried → the sentence. */
const others: Readonly<Record<string, readonly [kind: string, change: (object: Loose) => unknown, sentence: RegExp]>> =
  {
    'F9: a name in the DNS': [
      'Service',
      ({ metadata }) => (metadata.annotations['external-dns.alpha.kubernetes.io/hostname'] = 'bank.example.com'),
      /not metadata\.annotations\.external-dns/,
    ],
    'F24: an address of choice': ['Service', ({ spec }) => (spec.clusterIP = '198.18.0.53'), /not spec\.clusterIP/],
    'F24: a port that leads elsewhere': ['Service', ({ spec }) => (spec.ports[0].targetPort = 9808), /not spec\.ports/],
    'F24: a role of nobody’s': [
      'ServiceAccount',
      ({ metadata }) => (metadata.annotations['eks.amazonaws.com/role-arn'] = 'not a role'),
      /not metadata\.annotations\.eks/,
    ],
    'F24: everyone': ['NetworkPolicy', ({ spec }) => (spec.ingress[0].from = []), /not spec\.ingress/],
  };

for (const [what, [kind, change, sentence]] of Object.entries(others)) {
  test(`with the controller’s own token no ${kind} gets this: ${what}`, async () => {
    const object = world.child(kind);
    change(object);
    await world.refused(object, sentence);
  });
}

test('F24: nothing is created in the namespaces of the system and of the operator', async () => {
  for (const where of ['kube-system', 'kube-public', namespace]) {
    for (const object of world.children()) {
      object['metadata'].namespace = where;
      await world.refused(object, new RegExp(`creates nothing in the namespace ${where}`));
    }
  }
});

test('F25: Events are about PortForwards and the controller’s own pods', async () => {
  const event = (regarding: object, where = 'shop'): object => ({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'a.1', namespace: where },
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'portforward.dev/controller',
    reportingInstance: 'x',
    type: 'Warning',
    reason: 'Failed',
    action: 'Fail',
    regarding: { namespace: where, ...regarding },
  });
  const about = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward', name: 'orders-db' };
  assert.equal(await world.refusal(event(about)), '');
  const own = { apiVersion: 'v1', kind: 'Pod', name: 'portforward-0' };
  assert.equal(await world.refusal(event(own, namespace)), '');
  const sentence = /records Events about PortForwards/;
  await world.refused(event({ apiVersion: 'v1', kind: 'Pod', name: 'bank-0' }), sentence);
  await world.refused(event({ ...about, apiVersion: 'portforward.dev/v9' }), sentence);
  await world.refused(event({ apiVersion: 'v1', kind: 'Node', name: 'node-1' }, 'default'), sentence);
});

test('a write by POST is judged like one by apply', async () => {
  const service = world.child('Service');
  service['spec'].clusterIP = '198.18.0.54';
  const args = ['create', '--as', controllerUser, '--dry-run=server', '--filename', '-'];
  await assert.rejects(world.server.kubectl(args, { input: JSON.stringify(service) }), /not spec\.clusterIP/);
});
