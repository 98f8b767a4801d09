// Secrets and least privilege on a real cluster (docs/promises.md, promises 6 and 7): the controller's account may do exactly what the table
// says, tunnel pods run restricted and without a token, and no secret text is anywhere but in its file.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator, operatorNamespace } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { generateKey } from '../../lab/private-network/sshd.ts';
import { controllerRules } from '../../src/controller/rbac.ts';
import { controllerLogs } from './leaks.ts';

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;

suite('rights', () => {
  before(async () => {
    cluster = await ensureCluster();
    await ensureOperator(cluster);
    network = await startPrivateNetwork();
    shop = await Shop.create(cluster, 'rights');
  });
  after(async () => {
    await shop?.delete();
    await network?.stop();
  });

  const account = `system:serviceaccount:${operatorNamespace}:portforward`;
  const mayI = async (verb: string, resource: string, group: string): Promise<boolean> => {
    const [name = '', subresource = ''] = resource.split('/');
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace: shop.namespace, verb, group, resource: name, subresource } },
    };
    const answer = await cluster.kubectl(
      ['create', '--validate=false', '--as', account, '--filename', '-', '--output', 'jsonpath={.status.allowed}'],
      {
        input: JSON.stringify(review),
      },
    );
    return answer === 'true';
  };

  test('the controller’s account has every right of the table and no verb on Secrets or on what makes rights', async () => {
    for (const rule of controllerRules) {
      for (const verb of rule.verbs) {
        for (const resource of rule.resources) {
          assert.ok(await mayI(verb, resource, rule.apiGroups[0] ?? ''), `${verb} ${resource}`);
        }
      }
    }
    const never: readonly (readonly [group: string, resource: string, verbs: readonly string[]])[] = [
      ['', 'secrets', ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']],
      ['', 'configmaps', ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']],
      ['', 'pods', ['create', 'update', 'patch', 'delete']],
      ['', 'pods/exec', ['create', 'get']],
      ['', 'pods/log', ['get']],
      ['', 'pods/portforward', ['create']],
      ['', 'serviceaccounts/token', ['create']],
      ['', 'nodes', ['get', 'list', 'patch']],
      ['', 'namespaces', ['create', 'delete', 'patch']],
      ['apps', 'daemonsets', ['create']],
      ['apps', 'deployments', ['update', 'deletecollection']],
      ['batch', 'jobs', ['create']],
      ['rbac.authorization.k8s.io', 'roles', ['get', 'create', 'bind', 'escalate']],
      ['rbac.authorization.k8s.io', 'rolebindings', ['create']],
      ['rbac.authorization.k8s.io', 'clusterrolebindings', ['create']],
      ['portforward.dev', 'portforwards', ['create', 'update', 'patch', 'delete']],
      ['discovery.k8s.io', 'endpointslices', ['create', 'patch']],
    ];
    for (const [group, resource, verbs] of never) {
      for (const verb of verbs) assert.equal(await mayI(verb, resource, group), false, `${verb} ${resource}`);
    }
  });

  test('even within its role, the account cannot run a pod of its own making', async () => {
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'mine', namespace: shop.namespace },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: {
          metadata: { labels: { a: 'b' } },
          spec: { serviceAccountName: 'default', containers: [{ name: 'x', image: 'any.example.test/any' }] },
        },
      },
    };
    await assert.rejects(
      cluster.kubectl(['create', '--validate=false', '--as', account, '--filename', '-'], {
        input: JSON.stringify(deployment),
      }),
      /ValidatingAdmissionPolicy/,
    );
    await assert.rejects(
      cluster.kubectl(['delete', '--as', account, '--namespace', 'kube-system', 'service', 'kubernetes'], {}),
      /./,
    );
  });

  test('tunnel pods are admitted as restricted, have no token, and the secrets are in their files only', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-rights-'));
    const passphrase = 'seven "quoted" owls \\ at dusk';
    const key = await generateKey(directory, { passphrase });
    rmSync(directory, { recursive: true });
    network.bastions.a.authorize([key.publicKey]);
    await shop.secret('bastion', {
      'ssh-privatekey': key.privateKey,
      passphrase,
      'not-documented': 'a-key-that-is-not-mounted',
    });
    const { a } = network.bastions;
    await shop.portForward('db', {
      replicas: 1,
      ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }],
        secretRef: { name: 'bastion' },
        knownHosts: a.knownHosts({ name: a.address }),
      },
    });
    await shop.ready('db');
    const [pod] = await shop.tunnelPods('db');
    assert.ok(pod !== undefined);
    const inPod = (script: string): Promise<string> =>
      shop.kubectl(['exec', pod.metadata.name, '--', 'node', '-e', script]);
    const files = await inPod(
      `const fs=require('fs');console.log(fs.existsSync('/var/run/secrets/kubernetes.io'),fs.readdirSync('/etc/portforward/secrets/bastion').filter(n=>!n.startsWith('..')).sort().join())`,
    );
    assert.equal(files.trim(), 'false passphrase,ssh-privatekey');
    const shown = {
      'environment and arguments': await inPod(
        `const fs=require('fs');for(const p of fs.readdirSync('/proc').filter(n=>/^[0-9]+$/.test(n)))for(const f of ['environ','cmdline'])try{process.stdout.write(fs.readFileSync('/proc/'+p+'/'+f).toString('latin1')+'\\n')}catch{}`,
      ),
      metrics: await inPod(`fetch('http://127.0.0.1:9808/metrics').then(r=>r.text()).then(console.log)`),
      statusz: await inPod(`fetch('http://127.0.0.1:9808/statusz').then(r=>r.text()).then(console.log)`),
      objects: await shop.kubectl([
        'get',
        'deployments,replicasets,pods,services,serviceaccounts,portforwards,events',
        '--output',
        'json',
      ]),
      logs: await shop.logs('db'),
      'the controller’s logs': await controllerLogs(cluster),
    };
    assert.match(shown['environment and arguments'], /PORTFORWARD_CONFIG/);
    assert.match(shown.metrics, /portforward_tunnel_/);
    const lines = key.privateKey.split('\n').filter((line) => line.length > 20 && !line.includes('PRIVATE KEY'));
    const texts = [passphrase, ...lines].flatMap((text) => [
      text,
      Buffer.from(text).toString('base64'),
      JSON.stringify(text).slice(1, -1),
    ]);
    for (const [where, content] of Object.entries(shown)) {
      for (const text of texts) assert.ok(!content.includes(text), `a secret is in the ${where}`);
    }
    network.bastions.a.authorize([network.key.publicKey]);
  });
});
