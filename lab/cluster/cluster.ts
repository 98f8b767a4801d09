// The real Kubernetes cluster that tests and the demo run in. Which one: the context that PF_TEST_CONTEXT names, else kind where
// Docker runs, else our own on this machine. Never the current context by itself.
// Neighbours: host-cluster.ts and kind-cluster.ts; cli.ts is `npm run cluster`; scripts/test.ts calls `ensureCluster`.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { consents } from '../base/consent.ts';
import { cachedProgram, placesOf } from '../base/places.ts';
import type { Log } from '../base/progress.ts';
import { type BuildImageOptions, buildWithBuildah } from '../images/image-build.ts';
import { baseImage, clientImage, type Image } from '../images/images.ts';
import { command } from '../process/command.ts';
import { ensurePrograms } from '../programs/programs.ts';
import { setHostAddresses } from './dns.ts';
import { HostCluster } from './host-cluster.ts';
import { buildWithDocker, KindCluster, kindIsPossible } from './kind-cluster.ts';
import { type KubectlOptions, kubectl } from './kubectl.ts';

export interface ClusterOptions {
  /** Takes what is shown to people. Default: the process's standard error. */
  readonly log?: Log;
  readonly signal?: AbortSignal;
  /** Do not ask before the machine is changed. Default: whether the command line has `--yes`. Without a terminal nobody is asked. */
  readonly yes?: boolean;
  /** Which of the machine's clusters, 0 to 2. Default: 0. */
  readonly instance?: number;
}

export interface Cluster {
  readonly kind: 'host' | 'kind' | 'context';
  /** A file of its own with every right, whose current context is this cluster. */
  readonly kubeconfig: string;
  readonly nodeIP: string;
  /** The process that holds the node's namespaces; only where `kind` is `host`. */
  readonly nodePid?: number;
  /** Resolves with standard output. @throws CommandFailed with what kubectl said. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** Makes the image of an archive (docker or OCI form) known to the node; pods then use it with `imagePullPolicy: Never`. */
  loadImage(archive: string, signal?: AbortSignal): Promise<void>;
  /** Takes an image from the node, as if it had never been pulled; pods that run from it go on. */
  removeImage(reference: string): Promise<void>;
  /** Builds a Dockerfile on the local base image and loads the result. */
  buildImage(options: BuildImageOptions): Promise<Image>;
  baseImage(): Promise<Image>;
  /** An image with psql, redis-cli, curl, openssl and nc for test pods, already loaded. */
  clientImage(): Promise<Image>;
  /** Pods resolve `name` to these addresses, within 1.5 s, until it is called again; no addresses remove the name. */
  registerHostDns(name: string, addresses: readonly string[]): Promise<void>;
}

/** The cluster, up and Ready: found, repaired or made. Asks first when the machine would be changed. @throws Error that says what to do. */
export async function ensureCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { signal, log = (line: string) => void process.stderr.write(`${line}\n`) } = options;
  const agree = (changes: readonly string[]): Promise<boolean> => mayChange(changes, { log, signal, yes: options.yes });
  const up = { log, agree, ...(signal === undefined ? {} : { signal }) };
  const context = process.env['PF_TEST_CONTEXT'];
  if (context !== undefined && context !== '') return namedCluster(context, log);
  const places = placesOf(options.instance);
  const builds = join(places.directory, 'builds');
  const given = { log, ...(signal === undefined ? {} : { signal }) };
  if (await useKind()) {
    const cluster = new KindCluster(places);
    await cluster.up(up);
    return {
      kind: 'kind',
      kubeconfig: places.kubeconfig,
      nodeIP: await cluster.nodeIP(),
      kubectl: (args, more) => cluster.kubectl(args, more),
      loadImage: (archive) => cluster.loadImage(archive),
      removeImage: () => Promise.reject(new Error('images are not removed from kind here: set PF_CLUSTER=host')),
      buildImage: async (build) => {
        const base = await baseImage(given);
        const archive = await buildWithDocker(build, base.reference, builds);
        await cluster.loadImage(archive);
        return { reference: build.tag, archive };
      },
      baseImage: () => baseImage(given),
      clientImage: () => clientImage(given),
      registerHostDns: () =>
        Promise.reject(new Error('names for pods are not served by kind here: set PF_CLUSTER=host')),
    };
  }
  const cluster = new HostCluster(places);
  await cluster.up(up);
  const pid = cluster.nodePid;
  if (pid === undefined) throw new Error('the node ended right after it was ready: npm run cluster -- status');
  return {
    kind: 'host',
    kubeconfig: places.kubeconfig,
    nodeIP: places.nodeIP,
    nodePid: pid,
    kubectl: (args, more) => cluster.kubectl(args, more),
    loadImage: (archive, abort) => cluster.loadImage(archive, abort),
    removeImage: (reference) => cluster.removeImage(reference),
    buildImage: async (build) => {
      const image = await buildWithBuildah(build, await baseImage(given), builds);
      await cluster.loadImage(image.archive, build.signal);
      return image;
    },
    baseImage: () => baseImage(given),
    clientImage: () => clientImage(given),
    registerHostDns: (name, addresses) => setHostAddresses(places, name, addresses),
  };
}

/** Ends the cluster that `ensureCluster` would give and restores the machine. A cluster that PF_TEST_CONTEXT names is left alone. */
export async function removeCluster(options: ClusterOptions = {}): Promise<void> {
  const { log = (line: string) => void process.stderr.write(`${line}\n`) } = options;
  const context = process.env['PF_TEST_CONTEXT'] ?? '';
  if (context !== '') return log(`${context} is yours (PF_TEST_CONTEXT): it is left alone`);
  const places = placesOf(options.instance);
  if (await useKind()) await new KindCluster(places).down(log);
  else await new HostCluster(places).down(log);
}

/** PF_CLUSTER=host or kind decides; otherwise kind where Docker runs. @throws Error that says what to do if neither is possible. */
export async function useKind(): Promise<boolean> {
  const wanted = process.env['PF_CLUSTER'] ?? '';
  if (wanted === 'kind') return true;
  if (wanted !== 'host' && wanted !== '') throw new Error(`PF_CLUSTER is host or kind, not ${wanted}`);
  if (wanted === '' && (await kindIsPossible())) return true;
  const root = process.platform === 'linux' && process.getuid?.() === 0;
  if (!root) {
    throw new Error(
      'a test cluster needs one of: Docker with kind on the PATH; Linux and root (run the command with sudo); PF_TEST_CONTEXT=<kubeconfig context> of a cluster that may be used for tests',
    );
  }
  return false;
}

/** A cluster of the user's, by the name of its context; it gets a kubeconfig with that context alone. */
async function namedCluster(context: string, log: Log): Promise<Cluster> {
  await ensurePrograms(['kubectl', 'helm'], { log });
  const content = await command(cachedProgram('kubectl'), [
    'config',
    'view',
    '--minify',
    '--flatten',
    '--context',
    context,
  ]);
  const directory = join(tmpdir(), `portforward-context-${process.pid}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const kubeconfig = join(directory, 'kubeconfig');
  writeFileSync(kubeconfig, content, { mode: 0o600 });
  const call = (args: readonly string[], more?: KubectlOptions): Promise<string> => kubectl(kubeconfig, args, more);
  const path = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}';
  const cannot = (what: string) => (): Promise<never> =>
    Promise.reject(
      new Error(
        `${what} is not possible in a named cluster (PF_TEST_CONTEXT=${context}): push the image to a registry that it pulls from`,
      ),
    );
  return {
    kind: 'context',
    kubeconfig,
    nodeIP: await call(['get', 'nodes', '--output', path]),
    kubectl: call,
    loadImage: cannot('loading an image'),
    removeImage: cannot('removing an image'),
    buildImage: cannot('building an image'),
    baseImage: cannot('the local base image'),
    clientImage: cannot('the local client image'),
    registerHostDns: cannot('adding a DNS name'),
  };
}

async function mayChange(
  changes: readonly string[],
  {
    yes,
    ...options
  }: { readonly log: Log; readonly signal?: AbortSignal | undefined; readonly yes?: boolean | undefined },
): Promise<boolean> {
  const undone = '`npm run cluster -- down` undoes it, except for what is said to stay';
  const given = { ...options, ...(yes === undefined ? {} : { yes }) };
  return consents(`The test cluster changes this machine; ${undone}:`, changes, given);
}
