// The test cluster is a real one: pods are scheduled, restricted, reachable by name, and have no route out of the cluster.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { CommandFailed } from '../../lab/process/command.ts';

/** What Pod Security `restricted` asks of a container. */
const confined = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
const podConfined = { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } };

suite('the test cluster', () => {
  let cluster: Cluster;
  let shop: Shop;

  before(async () => {
    cluster = await ensureCluster();
    shop = await Shop.create(cluster, 'cluster-itself');
    await shop.client();
  });
  after(() => shop?.delete());

  test('its node is Ready and reports the pinned version', async () => {
    const path =
      'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status} {.items[*].status.nodeInfo.kubeletVersion}';
    assert.equal(await cluster.kubectl(['get', 'nodes', '--output', path]), 'True v1.36.3');
  });

  test('a Deployment of restricted pods answers through its Service by name', async () => {
    const { reference } = await cluster.clientImage();
    await shop.apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'echo' },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'echo' } },
          template: {
            metadata: { labels: { app: 'echo' } },
            spec: {
              terminationGracePeriodSeconds: 0,
              securityContext: podConfined,
              containers: [
                {
                  name: 'echo',
                  image: reference,
                  imagePullPolicy: 'Never',
                  command: ['sh', '-c', 'while :; do hostname | nc -l -p 8080 -N; done'],
                  readinessProbe: { exec: { command: ['true'] } },
                  securityContext: { ...confined, readOnlyRootFilesystem: true },
                },
              ],
            },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'echo' },
        spec: { selector: { app: 'echo' }, ports: [{ name: 'named', port: 80, targetPort: 8080 }] },
      },
    );
    await shop.kubectl(['rollout', 'status', 'deployment/echo', '--timeout=60s']);
    const names = [
      'echo',
      `echo.${shop.namespace}`,
      `echo.${shop.namespace}.svc`,
      `echo.${shop.namespace}.svc.cluster.local`,
    ];
    for (const name of names) {
      // The endpoints lag behind the pods. Besides, nc serves one client at a time: between two it refuses, or ends without an answer.
      const ask = `until nc -w 2 ${name} 80 </dev/null | grep '^echo-'; do sleep 0.1; done`;
      assert.match(await shop.exec(['timeout', '30', 'sh', '-c', ask]), /^echo-/, name);
    }
  });

  test('a pod that Pod Security forbids is refused', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'root' },
      spec: { containers: [{ name: 'root', image: 'any' }] },
    };
    await assert.rejects(shop.apply(pod), /violates PodSecurity "restricted/);
  });

  test('logs and exec reach a pod', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'talker' },
      spec: {
        terminationGracePeriodSeconds: 0,
        restartPolicy: 'Never',
        securityContext: podConfined,
        containers: [
          {
            name: 'talker',
            image: (await cluster.clientImage()).reference,
            imagePullPolicy: 'Never',
            command: ['sh', '-c', 'echo to the log; sleep infinity'],
            securityContext: confined,
          },
        ],
      },
    };
    await shop.apply(pod);
    await shop.kubectl(['wait', '--for=condition=Ready', 'pod/talker', '--timeout=60s']);
    // A pod without a probe is Ready as soon as its program has started, which is before it answers.
    await eventually('it has spoken', async () => (await shop.kubectl(['logs', 'talker'])) === 'to the log\n');
    assert.equal(await shop.exec(['cat'], { pod: 'talker', input: 'through exec' }), 'through exec');
  });

  test('a changed Secret is in its pod within seconds', async () => {
    await shop.secret('fresh', { word: 'first' });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'reader' },
      spec: {
        terminationGracePeriodSeconds: 0,
        securityContext: podConfined,
        volumes: [{ name: 'secret', secret: { secretName: 'fresh' } }],
        containers: [
          {
            name: 'reader',
            image: (await cluster.clientImage()).reference,
            imagePullPolicy: 'Never',
            securityContext: confined,
            volumeMounts: [{ name: 'secret', mountPath: '/secret' }],
          },
        ],
      },
    };
    await shop.apply(pod);
    await shop.kubectl(['wait', '--for=condition=Ready', 'pod/reader', '--timeout=60s']);
    await shop.secret('fresh', { word: 'second' });
    const wait = 'for i in $(seq 300); do [ "$(cat /secret/word)" = second ] && exit; sleep 0.1; done; exit 1';
    await shop.exec(['sh', '-c', wait], { pod: 'reader' });
  });

  test('an image that is built here runs here, on the pinned Node', async (t) => {
    const context = mkdtempSync(join(tmpdir(), 'portforward-build-'));
    t.after(() => rmSync(context, { recursive: true, force: true }));
    writeFileSync(join(context, 'hello.js'), 'console.log(`Node ${process.version} on ${process.arch}`);');
    const dockerfile = join(context, 'Dockerfile');
    writeFileSync(
      dockerfile,
      'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY hello.js /hello.js\nRUN test "$(id -u)" = 0\nUSER 65532\nCMD ["node", "/hello.js"]\n',
    );
    const image = await cluster.buildImage({ dockerfile, context, tag: 'localhost/portforward/hello:test' });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'hello' },
      spec: {
        restartPolicy: 'Never',
        securityContext: podConfined,
        containers: [{ name: 'hello', image: image.reference, imagePullPolicy: 'Never', securityContext: confined }],
      },
    };
    await shop.apply(pod);
    await shop.kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/hello', '--timeout=60s']);
    assert.equal(await shop.kubectl(['logs', 'hello']), `Node ${process.version} on ${process.arch}\n`);
  });

  suite('with a private network', () => {
    let network: PrivateNetwork;
    before(async () => {
      network = await startPrivateNetwork();
    });
    after(() => network?.stop());

    test('a pod does not reach the database', async () => {
      const direct = shop.psql(network.postgres.host, 'select 1', { timeoutSeconds: 3 });
      await assert.rejects(direct, (error: unknown) => {
        assert.ok(error instanceof CommandFailed);
        assert.match(error.stderr, /Network is unreachable|No route to host|timeout expired/);
        return true;
      });
    });

    const greets = (host: string) => (): Promise<boolean> =>
      shop.exec(['sh', '-c', `nc -w 2 ${host} 22 </dev/null | head -1 | grep ^SSH-2.0-OpenSSH`]).then(
        () => true,
        () => false,
      );

    test('a pod reaches both bastions by name while the names are registered', async () => {
      const { a, b } = network.bastions;
      const lookUp = (name: string): Promise<string> => shop.exec(['getent', 'hosts', name]).catch(() => '');
      for (const bastion of [a, b]) {
        await cluster.registerHostDns(bastion.name, [bastion.address]);
        await eventually('the name is there', async () =>
          (await lookUp(bastion.name)).startsWith(`${bastion.address} `),
        );
        await eventually('sshd greets', greets(bastion.name));
        await cluster.registerHostDns(bastion.name, []);
        await eventually('the name is gone', async () => (await lookUp(bastion.name)) === '');
      }
    });

    test('pods see a bastion’s faults, and their end', async () => {
      const { a } = network.bastions;
      await eventually('sshd greets', greets(a.address));
      for (const fault of ['blackHole', 'refuse', 'linkDown'] as const) {
        await a[fault]();
        assert.equal(await greets(a.address)(), false, fault);
        await a.heal();
        await eventually('sshd greets', greets(a.address));
      }
    });
  });
});
