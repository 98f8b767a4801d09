// The operator as its users get it: the image built from the Dockerfile, the chart installed by Helm. Content that did not change is
// neither built nor installed again.
// Neighbours: cluster.ts (where it goes), scripts/demo.ts and the cluster tests (who asks for it).
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually } from '../base/eventually.ts';
import { cacheDirectory, cachedProgram } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { CommandFailed, command } from '../process/command.ts';
import { withLock } from '../process/lock.ts';
import type { Cluster } from './cluster.ts';

const root = join(import.meta.dirname, '..', '..');

const repository = 'localhost/portforward/portforward';

export const operatorNamespace = 'portforward-system';

export interface OperatorOptions {
  readonly log?: Log;
  /** Ends builds and Helm, which then records the release as failed; the next call goes on from there. */
  readonly signal?: AbortSignal;
  /** Helm release and, if given, its own namespace and values: several installs of different classes may share the cluster. */
  readonly release?: string;
  readonly namespace?: string;
  readonly values?: Readonly<Record<string, string>>;
}

/** The image of the sources as they are now: it has node and the product, and needs no pull. */
export interface Operator {
  readonly image: string;
  uninstall(): Promise<void>;
}

/** Resolves when the chart's Deployment is available with the image of the sources as they are now. */
export async function ensureOperator(cluster: Cluster, options: OperatorOptions = {}): Promise<Operator> {
  const { log = () => {}, signal, release = 'portforward', namespace = operatorNamespace, values = {} } = options;
  const tag = await ensureProductImage(cluster, log, signal);
  const image = `${repository}:${tag}`;
  const settings = {
    'image.repository': repository,
    'image.tag': tag,
    'image.pullPolicy': 'Never',
    // Every line there is: no secret may be in any of them.
    'tunnels.logLevel': 'debug',
    'controller.logLevel': 'debug',
    ...values,
  };
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const install = ['upgrade', '--install', release, './helm', '--namespace', namespace, '--create-namespace'];
  const call = (): Promise<string> => helm(cluster, [...install, '--wait', '--timeout', '3m', ...set], signal);
  // Helm takes one operation on a release at a time, and test files run side by side.
  const lock = join(dirname(cluster.kubeconfig), `helm-${release}.lock`);
  const abort = signal === undefined ? {} : { signal };
  const work = async (): Promise<void> => {
    try {
      await call();
    } catch (error) {
      // A Helm that was killed has left its release in the middle, and no other may change it.
      if (!(error instanceof CommandFailed && error.stderr.includes('another operation'))) throw error;
      await helm(cluster, ['uninstall', release, '--namespace', namespace, '--wait'], signal);
      await call();
    }
  };
  await step(log, `install the chart as ${release}`, () => withLock(lock, work, abort));
  await eventually('the former controllers have ended', () => isOfOneTemplate(cluster, namespace, release), 60_000);
  return {
    image,
    uninstall: async () => {
      await helm(cluster, ['uninstall', release, '--namespace', namespace, '--wait']);
      await cluster.kubectl(['delete', 'namespace', namespace, '--ignore-not-found']);
    },
  };
}

/** Helm is content when the new pods are ready. Until the former ones have ended, one of them may still lead, with the former values. */
async function isOfOneTemplate(cluster: Cluster, namespace: string, release: string): Promise<boolean> {
  const selector = `app.kubernetes.io/component=controller,app.kubernetes.io/instance=${release}`;
  const path = 'jsonpath={.items[*].metadata.labels.pod-template-hash}';
  const templates = await cluster.kubectl(['get', 'pods', '-n', namespace, '-l', selector, '--output', path]);
  return new Set(templates.split(' ')).size === 1;
}

/** `helm …` against the cluster. */
function helm(cluster: Cluster, args: readonly string[], signal?: AbortSignal): Promise<string> {
  return command(cachedProgram('helm'), args, {
    cwd: root,
    env: { KUBECONFIG: cluster.kubeconfig },
    timeoutMs: 300_000,
    interrupt: true,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** All that the image is made of; the engine's own tests are not. */
export const imageSources = [
  'src/**/*.{ts,c,go,mod,sum}',
  'native/*.{cc,h}',
  'native/addon/*.{cc,h}',
  'scripts/build.ts',
  'scripts/build/*.ts',
  'scripts/*.mjs',
  'Dockerfile',
  '.dockerignore',
  'package.json',
  'package-lock.json',
];

/** Builds and loads the image once per content of what goes into it; resolves with its tag. */
async function ensureProductImage(cluster: Cluster, log: Log, signal?: AbortSignal): Promise<string> {
  const abort = signal === undefined ? {} : { signal };
  const lock = join(cacheDirectory(), 'product-image.lock');
  const work = async (): Promise<string> => {
    const hash = createHash('sha256');
    for (const file of globSync(imageSources, { cwd: root }).toSorted())
      hash.update(file).update(readFileSync(join(root, file)));
    const tag = `test-${hash.digest('hex').slice(0, 12)}`;
    const reference = `${repository}:${tag}`;
    // In the cluster's own directory, so that it is gone with the cluster.
    const loaded = join(dirname(cluster.kubeconfig), `loaded-${tag}`);
    if (existsSync(loaded)) return tag;
    await step(log, 'bundle the sources', () =>
      command(process.execPath, ['scripts/build.ts'], { cwd: root, interrupt: true, ...abort }),
    );
    await step(log, 'build the image from the Dockerfile', () =>
      cluster.buildImage({
        dockerfile: join(root, 'Dockerfile'),
        context: root,
        tag: reference,
        target: 'prebuilt',
        ...abort,
      }),
    );
    writeFileSync(loaded, reference);
    return tag;
  };
  return withLock(lock, work, abort);
}
