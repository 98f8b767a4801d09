// A real Argo CD beside the test cluster: repo server, application controller and API server as processes of this test, their objects in
// the cluster's namespace `argocd`, Redis of Debian.
// Neighbours: program.ts builds it; repository.ts is what it syncs; test/cluster/argo-cd.test.ts asks it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { eventually } from '../../../lab/base/eventually.ts';
import { cachedProgram } from '../../../lab/base/places.ts';
import type { Cluster } from '../../../lab/cluster/cluster.ts';
import { type Redis, startRedis } from '../../../lab/private-network/redis.ts';
import { Child } from '../../../lab/process/child.ts';
import { command } from '../../../lab/process/command.ts';
import { onFreePorts } from '../../../lab/process/ports.ts';
import { argoCdProgram, argoCdSources } from './program.ts';

export const argoCdNamespace = 'argocd';

export interface ArgoCd {
  /** The address of the test cluster, as destination of an Application. */
  readonly destination: string;
  /** `argocd …`: what its command line prints, asked of its API server. */
  cli(args: readonly string[], timeoutMs?: number): Promise<string>;
  /** Ends the processes and removes its objects and definitions; Applications go without what they made. */
  stop(): Promise<void>;
}

const definitions = ['application-crd.yaml', 'applicationset-crd.yaml', 'appproject-crd.yaml'];

/** Resolves when its API server answers. `settings` is added to its ConfigMap `argocd-cm`. */
export async function startArgoCd(cluster: Cluster, settings: Readonly<Record<string, string>>): Promise<ArgoCd> {
  const program = await argoCdProgram();
  const crds = join(await argoCdSources(), 'manifests', 'crds');
  const work = mkdtempSync(join(tmpdir(), 'portforward-argocd-'));
  const running: Child[] = [];
  let redis: Redis | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((child) => child.kill()));
    await redis?.stop();
    await removeObjects(cluster, crds);
    rmSync(work, { recursive: true, force: true });
  };
  try {
    await removeObjects(cluster, crds);
    for (const file of definitions) {
      // Their schemas are larger than what client-side apply copies into an annotation.
      await cluster.kubectl(['apply', '--server-side', '--filename', join(crds, file)]);
    }
    const destination = await createObjects(cluster, settings);
    redis = await startRedis();
    const { host, port } = redis;
    const cache = ['--redis', `${host}:${port}`];
    const kubeconfig = ['--kubeconfig', cluster.kubeconfig, '--namespace', argoCdNamespace];
    const start = async (name: string, args: readonly string[], ready: RegExp): Promise<void> => {
      const child = new Child(name, program, args, { env: { ...environment(work), ARGOCD_BINARY_NAME: name } });
      running.push(child);
      await child.line(ready, 60_000);
    };
    const server = await onFreePorts(5, '127.0.0.1', async ([repo, repoMetrics, web, webMetrics, control]) => {
      const repoServer = ['--repo-server', `127.0.0.1:${repo}`];
      await start(
        'argocd-repo-server',
        ['--disable-tls', ...cache, '--port', `${repo}`, '--metrics-port', `${repoMetrics}`],
        /is listening on/,
      );
      await start(
        'argocd-application-controller',
        [
          ...kubeconfig,
          ...cache,
          ...repoServer,
          '--repo-server-plaintext',
          '--app-resync',
          '5',
          '--metrics-port',
          `${control}`,
        ],
        /Application Controller .*starting|Starting .*[cC]ontroller/,
      );
      await start(
        'argocd-server',
        [
          ...kubeconfig,
          ...cache,
          ...repoServer,
          '--repo-server-plaintext',
          '--insecure',
          '--disable-auth',
          '--address',
          '127.0.0.1',
          '--port',
          `${web}`,
          '--metrics-port',
          `${webMetrics}`,
        ],
        /serving on port/,
      );
      return `127.0.0.1:${web}`;
    });
    return {
      destination,
      cli: (args, timeoutMs = 60_000) =>
        command(program, [...args, '--server', server, '--plaintext', '--config', join(work, 'config')], {
          env: { ...environment(work), ARGOCD_BINARY_NAME: 'argocd' },
          timeoutMs,
        }),
      stop,
    };
  } catch (error) {
    const words = running.flatMap((child) => child.log().slice(-10)).join('\n');
    await stop();
    throw new Error(`Argo CD did not start: ${words}`, { cause: error });
  }
}

/** What its processes share: no keys of their own, and the cluster's Helm. */
function environment(work: string): Readonly<Record<string, string>> {
  const keys = join(work, 'keys');
  mkdirSync(keys, { recursive: true });
  return {
    HOME: work,
    TMPDIR: work,
    ARGOCD_GPG_ENABLED: 'false',
    ARGOCD_TLS_DATA_PATH: keys,
    ARGOCD_SSH_DATA_PATH: keys,
    PATH: `${dirname(cachedProgram('helm'))}:${process.env['PATH'] ?? ''}`,
  };
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
}

/** Its settings, its project, and the cluster as it must be registered for processes outside of it. Returns the cluster's address. */
async function createObjects(cluster: Cluster, settings: Readonly<Record<string, string>>): Promise<string> {
  const view = ['config', 'view', '--raw', '--minify', '--flatten', '--output', 'json'];
  const { clusters, users } = JSON.parse(await cluster.kubectl(view)) as Kubeconfig;
  const server = clusters[0]?.cluster['server'] ?? '';
  const user = users[0]?.user ?? {};
  const config = {
    tlsClientConfig: {
      caData: clusters[0]?.cluster['certificate-authority-data'],
      certData: user['client-certificate-data'],
      keyData: user['client-key-data'],
    },
  };
  const object = (kind: string, name: string, rest: object, labels: object = {}): object => ({
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: argoCdNamespace, labels: { 'app.kubernetes.io/part-of': 'argocd', ...labels } },
    ...rest,
  });
  const documents = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: argoCdNamespace } },
    object('ConfigMap', 'argocd-cm', { data: settings }),
    object('ConfigMap', 'argocd-rbac-cm', { data: {} }),
    object('Secret', 'argocd-secret', { stringData: { 'server.secretkey': 'of one test' } }),
    object(
      'Secret',
      'test-cluster',
      { stringData: { name: 'test', server, config: JSON.stringify(config) } },
      { 'argocd.argoproj.io/secret-type': 'cluster' },
    ),
    {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'AppProject',
      metadata: { name: 'default', namespace: argoCdNamespace },
      spec: {
        sourceRepos: ['*'],
        destinations: [{ server: '*', namespace: '*' }],
        clusterResourceWhitelist: [{ group: '*', kind: '*' }],
      },
    },
  ];
  // `kubectl wait` fails on a definition that has no conditions yet.
  await eventually('Argo CD’s definitions are served', () =>
    cluster.kubectl(['get', 'appprojects.argoproj.io,applications.argoproj.io', '--all-namespaces']).then(
      () => true,
      () => false,
    ),
  );
  await cluster.kubectl(['apply', '--filename', '-'], {
    input: documents.map((each) => stringify(each)).join('---\n'),
  });
  return server;
}

/** Also what a killed run left behind. */
async function removeObjects(cluster: Cluster, crds: string): Promise<void> {
  const served = await cluster.kubectl(['get', 'crd', 'applications.argoproj.io', '--ignore-not-found']);
  if (served !== '') {
    // Nobody is left who would act on their finalizers.
    const list = ['get', 'applications.argoproj.io', '--namespace', argoCdNamespace, '--output', 'name'];
    for (const name of (await cluster.kubectl(list)).split('\n').filter(Boolean)) {
      const patch = ['--type=merge', '--patch', '{"metadata":{"finalizers":null}}'];
      await cluster.kubectl(['patch', name, '--namespace', argoCdNamespace, ...patch]);
    }
  }
  await cluster.kubectl(['delete', 'namespace', argoCdNamespace, '--ignore-not-found', '--timeout=120s']);
  for (const file of definitions) {
    await cluster.kubectl(['delete', '--ignore-not-found', '--filename', join(crds, file), '--timeout=60s']);
  }
}
