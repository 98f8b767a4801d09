// A real single-node cluster on a bare Linux machine, without Docker, virtual machines or an image registry: etcd, the control
// plane, containerd, kubelet, kube-proxy and CoreDNS as kept processes inside one node namespace.
// Neighbours: cluster.ts decides between this, kind and a named cluster; node-parts.ts says what runs; machine.ts changes the
// machine and restores it.
import { Resolver } from 'node:dns/promises';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cachedProgram, type Places } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { describeImage, ensureImage, type ImageName, imageMissing } from '../images/images.ts';
import { together } from '../process/abort.ts';
import { CommandFailed, command, succeeds } from '../process/command.ts';
import { KeptProcesses } from '../process/kept-process.ts';
import { withLock } from '../process/lock.ts';
import { installedGo } from '../programs/go.ts';
import { ensurePackages, missingPackages } from '../programs/packages.ts';
import { allPrograms, ensurePrograms, missingPrograms } from '../programs/programs.ts';
import { isReady } from './api-server.ts';
import { type KubectlOptions, kubectl } from './kubectl.ts';
import { linkNode, plannedChanges, prepareMachine, restoreMachine } from './machine.ts';
import { nodeName, runtimeSocket, snapshotter } from './node-config.ts';
import { NodeNamespace } from './node-namespace.ts';
import {
  apiServerUrl,
  authorityOf,
  commandLine,
  dnsRights,
  type Part,
  parts,
  recipeOf,
  writeNodeFiles,
} from './node-parts.ts';

export interface UpOptions {
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Shown what will be changed; resolves with whether it may be. Not asked when nothing would be. */
  readonly agree: (changes: readonly string[]) => Promise<boolean>;
}

const images: readonly ImageName[] = ['pause', 'base', 'client'];

export class HostCluster {
  readonly places: Places;
  readonly #kept: KeptProcesses;
  readonly #node: NodeNamespace;

  constructor(places: Places) {
    this.places = places;
    this.#kept = new KeptProcesses(places.directory, places.logs);
    this.#node = new NodeNamespace(this.#kept);
  }

  /** The id of the process that holds the node's namespaces, undefined while there is no node. */
  get nodePid(): number | undefined {
    return this.#node.pid;
  }

  get url(): string {
    return apiServerUrl(this.places);
  }

  /** Makes it run, from nothing, from half, or by finding it healthy (under a second). Two callers at once: one does it, the other waits. */
  async up(options: UpOptions): Promise<void> {
    const { log, signal } = options;
    await withLock(this.#lock, () => this.#up(options), {
      onWait: (holder) => log(`  … waiting for process ${holder}, which works on the cluster`),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Fills the cache: installs the missing packages, then makes the images while the compiler works. What is there costs nothing. */
  async build({ log, signal }: { readonly log: Log; readonly signal?: AbortSignal }): Promise<void> {
    const installed = Promise.withResolvers<void>();
    // Who waits for it has the failure from the work itself.
    installed.promise.catch(() => {});
    await together(signal, [
      async (aborted) => {
        try {
          await ensurePackages(log, aborted);
          installed.resolve();
        } catch (error) {
          installed.reject(error);
          throw error;
        }
      },
      async (aborted) => {
        // pip, which fetches Go, is one of the packages.
        if ((await installedGo()) === undefined) await installed.promise;
        await ensurePrograms(allPrograms, { log, signal: aborted });
      },
      async (aborted) => {
        await installed.promise;
        for (const name of images) await ensureImage(name, { log, signal: aborted });
      },
    ]);
  }

  /** Whether all parts live in the version that these files describe, the API server is ready, the node says Ready and has the images. */
  async healthy(): Promise<boolean> {
    if (this.state().dead.length > 0 || !this.#isCurrent() || !(await this.#serving())) return false;
    return (await this.#nodeReady()) && (await this.#missingImages()).length === 0;
  }

  /** Which parts live and which do not. */
  state(): { readonly alive: readonly string[]; readonly dead: readonly string[] } {
    const all = ['node', ...parts];
    return {
      alive: all.filter((name) => this.#kept.pid(name) !== undefined),
      dead: all.filter((name) => this.#kept.pid(name) === undefined),
    };
  }

  /** Ends all of it and restores the machine; what is not there is passed over. */
  async down(log: Log): Promise<void> {
    await withLock(this.#lock, () => step(log, `remove ${this.places.name}`, () => this.#down()));
  }

  /** Runs the cached kubectl with every right. */
  async kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    return kubectl(this.places.kubeconfig, args, options);
  }

  /** Makes an image's archive known to the node's container runtime. */
  async loadImage(archive: string, signal?: AbortSignal): Promise<void> {
    const socket = ['--address', runtimeSocket(this.places), '--namespace', 'k8s.io'];
    const args = [...socket, 'images', 'import', '--snapshotter', snapshotter(this.places), archive];
    await command('ctr', args, { timeoutMs: 300_000, ...(signal === undefined ? {} : { signal }) });
  }

  /** The node forgets the image; containers that run from it go on. */
  async removeImage(reference: string): Promise<void> {
    const socket = ['--address', runtimeSocket(this.places), '--namespace', 'k8s.io'];
    await command('ctr', [...socket, 'images', 'rm', '--sync', reference]);
  }

  async #up({ log, signal, agree }: UpOptions): Promise<void> {
    if (await this.healthy()) return;
    const changes = await this.#changes();
    if (changes.length > 0 && !(await agree(changes))) {
      throw new Error('the test cluster was not started: not agreed to');
    }
    log.expect?.((await this.#toBuild()) + 3);
    await this.build({ log, ...(signal === undefined ? {} : { signal }) });
    if (this.#node.pid === undefined || !this.#isCurrent()) {
      // Switched off, failed early, or of another version: nothing of it is worth keeping.
      await this.#down();
      await step(log, 'prepare the node', () => this.#prepare());
    }
    await step(log, 'start the API server', async () => {
      for (const part of ['etcd', 'kube-apiserver', 'containerd'] as const) await this.#start(part);
      const wait = { timeoutMs: 90_000, ...(signal === undefined ? {} : { signal }) };
      await Promise.all([this.#kept.until('kube-apiserver', () => this.#serving(), wait), this.#loadImages(signal)]);
    });
    await step(log, `start the node ${nodeName}`, () => this.#startNode(signal));
  }

  /** How many steps lie before the cluster can be started. */
  async #toBuild(): Promise<number> {
    const packages = (await missingPackages()).length > 0 ? 1 : 0;
    const programs = missingPrograms().length > 0 ? 2 : 0;
    return packages + programs + images.filter(imageMissing).length;
  }

  /** What `up` would change now. */
  async #changes(): Promise<string[]> {
    const packages = await missingPackages();
    const programs = missingPrograms();
    const missing = images.filter(imageMissing);
    const running = this.#node.pid !== undefined;
    return [
      ...(packages.length > 0
        ? [`Debian packages ${packages.join(', ')} (they stay; none of their services is started)`]
        : []),
      ...(programs.length > 0 ? [`programs built into ${cachedProgram('')} (they stay): ${programs.join(', ')}`] : []),
      ...(missing.length > 0 ? [`images made in the same cache (they stay): ${missing.join(', ')}`] : []),
      ...(running && !this.#isCurrent()
        ? ['the running cluster is of another version: it is removed with all in it']
        : []),
      ...(running && this.#isCurrent() ? [] : plannedChanges(this.places)),
    ];
  }

  async #prepare(): Promise<void> {
    await prepareMachine(this.places);
    await writeNodeFiles(this.places);
    await this.#node.start(this.places);
    const pid = this.#node.pid;
    if (pid === undefined) throw new Error(`the node ended at once: ${this.#kept.lastWords('node')}`);
    await linkNode(this.places, pid);
    // Last: a node that was not prepared to its end is made anew.
    writeFileSync(this.#recipeFile, recipeOf(this.places));
  }

  async #startNode(signal: AbortSignal | undefined): Promise<void> {
    const { places } = this;
    authorityOf(places).writeKubeconfig(places.kubeconfig, this.url, 'admin');
    await this.kubectl(['apply', '--filename', '-'], {
      input: dnsRights,
      ...(signal === undefined ? {} : { signal }),
    });
    for (const part of parts) await this.#start(part);
    const wait = { timeoutMs: 120_000, ...(signal === undefined ? {} : { signal }) };
    await Promise.all([
      this.#kept.until('kubelet', () => this.#nodeReady(), wait),
      this.#kept.until('coredns', () => this.#dnsReady(), wait),
      this.#kept.until('kube-controller-manager', () => this.#defaultAccount(), wait),
    ]);
    const [dead] = this.state().dead;
    if (dead !== undefined) throw new Error(`${dead} ended:\n${this.#kept.lastWords(dead)}`);
  }

  async #start(part: Part): Promise<void> {
    if (this.#kept.pid(part) !== undefined) return;
    const { program, args } = commandLine(part, this.places);
    await this.#node.keep(part, program, args);
  }

  async #loadImages(signal: AbortSignal | undefined): Promise<void> {
    const socket = runtimeSocket(this.places);
    // One that was killed leaves its socket behind, so the file alone says nothing.
    const there = async (): Promise<boolean> =>
      existsSync(socket) && succeeds('ctr', ['--address', socket, '--connect-timeout', '2s', 'version']);
    await this.#kept.until('containerd', there, { timeoutMs: 30_000, ...(signal === undefined ? {} : { signal }) });
    for (const archive of await this.#missingImages()) await this.loadImage(archive, signal);
  }

  /** Archives of our images that the node's container runtime does not know. */
  async #missingImages(): Promise<string[]> {
    const list = ['--address', runtimeSocket(this.places), '--namespace', 'k8s.io', 'images', 'ls', '-q'];
    const known = (await command('ctr', list)).split('\n');
    const ours = images.map(describeImage);
    return ours.filter(({ reference }) => !known.includes(reference)).map(({ archive }) => archive);
  }

  async #serving(): Promise<boolean> {
    const certificate = authorityOf(this.places).certificate();
    return existsSync(certificate) && isReady({ url: this.url, ca: readFileSync(certificate) });
  }

  async #nodeReady(): Promise<boolean> {
    const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    return (await this.#asked(['get', 'node', nodeName, '--output', path])) === 'True';
  }

  /** Pods are refused until their namespace's account exists. */
  async #defaultAccount(): Promise<boolean> {
    return (await this.#asked(['get', 'serviceaccount', 'default', '--output', 'name'])) !== undefined;
  }

  async #dnsReady(): Promise<boolean> {
    const resolver = new Resolver({ timeout: 1_000, tries: 1 });
    resolver.setServers([this.places.nodeIP]);
    try {
      const addresses = await resolver.resolve4('kubernetes.default.svc.cluster.local');
      return addresses.includes(this.places.firstServiceIP);
    } catch {
      return false;
    }
  }

  async #asked(args: readonly string[]): Promise<string | undefined> {
    try {
      return await this.kubectl(['--request-timeout=5s', ...args]);
    } catch (error) {
      if (error instanceof CommandFailed) return undefined;
      throw error;
    }
  }

  async #down(): Promise<void> {
    // First the parts: a stopped one would keep the node's namespaces.
    await Promise.all(parts.map((name) => this.#kept.kill(name)));
    await this.#node.stop();
    await restoreMachine(this.places);
    const mounted = readFileSync('/proc/self/mounts', 'utf8').includes(` ${this.places.directory}/`);
    if (mounted) throw new Error(`something is still mounted below ${this.places.directory}: not removed`);
    rmSync(this.places.directory, { recursive: true, force: true });
  }

  #isCurrent(): boolean {
    return existsSync(this.#recipeFile) && readFileSync(this.#recipeFile, 'utf8') === recipeOf(this.places);
  }

  get #recipeFile(): string {
    return join(this.places.directory, 'recipe');
  }

  /** Beside the run directory, not in it: `down` removes that one. */
  get #lock(): string {
    return `${this.places.directory}.lock`;
  }
}
