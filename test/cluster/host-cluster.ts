/**
 * A real single-node cluster on a bare Linux machine, without Docker, virtual machines or an image registry: etcd, the control
 * plane, containerd, kubelet, kube-proxy and CoreDNS as kept processes inside one node namespace.
 * Neighbours: cluster.ts decides between this, kind and a named cluster; machine.ts changes the machine and restores it.
 */
import { Resolver } from 'node:dns/promises';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isReady } from './api-server.ts';
import { Authority, issueApiServer } from './certificates.ts';
import { command, CommandFailed } from './command.ts';
import { apiServerArguments, controllerManagerArguments, etcdArguments, schedulerArguments } from './control-plane.ts';
import { hostsFile, setHostAddresses } from './dns.ts';
import { describeImage, ensureImage, type ImageName, imageMissing } from './images.ts';
import { KeptProcesses } from './kept-process.ts';
import { withLock } from './lock.ts';
import { linkNode, plannedChanges, prepareMachine, restoreMachine } from './machine.ts';
import {
  containerdConfig,
  corefile,
  emptyRootZone,
  kubeletConfig,
  kubeProxyConfig,
  nodeName,
  podNetwork,
  runtimeSocket,
} from './node-config.ts';
import { NodeNamespace } from './node-namespace.ts';
import { ensurePackages, missingPackages } from './packages.ts';
import { cachedProgram, type Places } from './places.ts';
import { allPrograms, ensurePrograms, missingPrograms } from './programs.ts';
import { type Log, step } from './progress.ts';

export interface UpOptions {
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Shown what will be changed; resolves with whether it may be. Not asked when nothing would be. */
  readonly agree: (changes: readonly string[]) => Promise<boolean>;
}

/** In starting order. Each is started again by itself if it is found dead. */
const parts = [
  'etcd',
  'kube-apiserver',
  'containerd',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubelet',
  'coredns',
] as const;
type Part = (typeof parts)[number];

const images: readonly ImageName[] = ['pause', 'base', 'client'];

export class HostCluster {
  readonly places: Places;
  readonly #kept: KeptProcesses;
  readonly #node: NodeNamespace;
  readonly #authority: string;

  constructor(places: Places) {
    this.places = places;
    this.#kept = new KeptProcesses(places.directory, places.logs);
    this.#node = new NodeNamespace(this.#kept);
    this.#authority = join(places.directory, 'certificates');
  }

  /** The id of the process that holds the node's namespaces, undefined while there is no node. */
  get nodePid(): number | undefined {
    return this.#node.pid;
  }

  get url(): string {
    return `https://${this.places.nodeIP}:6443`;
  }

  /** Makes it run, from nothing, from half, or by finding it healthy (under a second). Two callers at once: one does it, the other waits. */
  async up(options: UpOptions): Promise<void> {
    const { log, signal } = options;
    // Beside the run directory, not in it: `down` removes that one.
    await withLock(`${this.places.directory}.lock`, () => this.#up(options), {
      onWait: (holder) => log(`  … waiting for process ${holder}, which works on the cluster`),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async #up(options: UpOptions): Promise<void> {
    const { log, signal } = options;
    if (await this.healthy()) return;
    const changes = this.#changes();
    if (changes.length > 0 && !(await options.agree(changes)))
      throw new Error('the test cluster was not started: not agreed to');
    const given = { log, ...(signal === undefined ? {} : { signal }) };
    await ensurePackages(log, signal);
    await ensurePrograms(allPrograms, given);
    for (const name of images) await ensureImage(name, given);
    if (this.#node.pid === undefined) {
      // A machine that was switched off, or a start that failed early: nothing runs, so nothing of it is worth keeping.
      await this.#down();
      await step(log, 'prepare the node', () => this.#prepare());
    }
    await step(log, 'start the API server', async () => {
      await this.#start('etcd', this.#etcd());
      await this.#start('kube-apiserver', this.#apiServer());
      // Loading images takes as long as the API server's start, so containerd works meanwhile.
      await this.#start('containerd', ['--config', join(this.places.directory, 'containerd.toml')]);
      await Promise.all([this.#untilServing(signal), this.#loadImages(signal)]);
    });
    await step(log, `start the node ${nodeName}`, () => this.#startNode(signal));
  }

  /** Whether all parts live, the API server is ready, and the node says Ready. */
  async healthy(): Promise<boolean> {
    const { dead } = this.state();
    if (dead.length > 0 || !(await this.#serving())) return false;
    return this.#nodeReady();
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
    await withLock(`${this.places.directory}.lock`, () => step(log, `remove ${this.places.name}`, () => this.#down()));
  }

  async kubectl(
    args: readonly string[],
    options: { readonly input?: string; readonly signal?: AbortSignal } = {},
  ): Promise<string> {
    return command(cachedProgram('kubectl'), ['--kubeconfig', this.places.kubeconfig, ...args], options);
  }

  /** Makes an image's archive known to the node's container runtime. */
  async loadImage(archive: string, signal?: AbortSignal): Promise<void> {
    const args = ['--address', runtimeSocket(this.places), '--namespace', 'k8s.io', 'images', 'import', archive];
    await command('ctr', args, { timeoutMs: 300_000, ...(signal === undefined ? {} : { signal }) });
  }

  #changes(): string[] {
    const packages = missingPackages();
    const programs = missingPrograms();
    const missing = images.filter(imageMissing);
    return [
      ...(packages.length > 0 ? [`Debian packages ${packages.join(', ')} (they stay)`] : []),
      ...(programs.length > 0 ? [`programs built into ${cachedProgram('')} (they stay): ${programs.join(', ')}`] : []),
      ...(missing.length > 0 ? [`images made in the same cache (they stay): ${missing.join(', ')}`] : []),
      ...(this.#node.pid === undefined ? plannedChanges(this.places) : []),
    ];
  }

  async #prepare(): Promise<void> {
    const { places } = this;
    await prepareMachine(places);
    for (const name of ['cni', 'pod-logs', 'volume-plugins', 'kubelet']) {
      mkdirSync(join(places.directory, name), { recursive: true });
    }
    const authority = new Authority(this.#authority);
    await authority.create();
    await Promise.all([
      issueApiServer(authority, [places.nodeIP, places.firstServiceIP, '127.0.0.1']),
      authority.issue('controller-manager', { user: 'system:kube-controller-manager' }),
      authority.issue('scheduler', { user: 'system:kube-scheduler' }),
      authority.issue('kube-proxy', { user: 'system:kube-proxy' }),
      authority.issue('coredns', { user: 'system:coredns' }),
      authority.issue('kubelet', { user: `system:node:${nodeName}`, groups: ['system:nodes'] }),
      authority.issue('kubelet-server', { user: nodeName, addresses: [places.nodeIP], names: [nodeName] }),
    ]);
    for (const name of ['controller-manager', 'scheduler', 'kube-proxy', 'coredns', 'kubelet']) {
      authority.writeKubeconfig(this.#kubeconfig(name), this.url, name);
    }
    const write = (name: string, content: string): void => writeFileSync(join(places.directory, name), content);
    write('containerd.toml', containerdConfig(places, describeImage('pause').reference));
    write('cni/10-pods.conflist', podNetwork(places));
    write('kubelet.json', kubeletConfig(places, authority));
    write('kube-proxy.json', kubeProxyConfig(places, this.#kubeconfig('kube-proxy')));
    write('root.zone', emptyRootZone);
    const rootZone = join(places.directory, 'root.zone');
    write('Corefile', corefile(places, this.#kubeconfig('coredns'), hostsFile(places), rootZone));
    await setHostAddresses(places, 'node.example.test', [places.nodeIP]);
    await this.#node.start(places);
    const pid = this.#node.pid;
    if (pid === undefined) throw new Error(`the node ended at once: ${this.#kept.lastWords('node')}`);
    await linkNode(places, pid);
  }

  async #startNode(signal: AbortSignal | undefined): Promise<void> {
    // Last of all the start writes it, so a kubeconfig that is there belongs to a cluster that served once.
    new Authority(this.#authority).writeKubeconfig(this.places.kubeconfig, this.url, 'admin');
    const { places } = this;
    const kubeconfig = (name: string): string => this.#kubeconfig(name);
    const authority = new Authority(this.#authority);
    await this.#start('kube-controller-manager', controllerManagerArguments(authority, kubeconfig, places.nodeIP));
    await this.#start('kube-scheduler', schedulerArguments(kubeconfig, places.nodeIP));
    await this.#start('kube-proxy', ['--config', join(places.directory, 'kube-proxy.json')]);
    await this.#start('kubelet', [
      `--config=${join(places.directory, 'kubelet.json')}`,
      `--kubeconfig=${this.#kubeconfig('kubelet')}`,
      `--root-dir=${join(places.directory, 'kubelet')}`,
      `--cert-dir=${join(places.directory, 'kubelet')}`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${places.nodeIP}`,
    ]);
    await this.kubectl(['apply', '--filename', '-'], { input: dnsRights, ...(signal === undefined ? {} : { signal }) });
    await this.#start('coredns', ['-conf', join(places.directory, 'Corefile')]);
    const wait = { timeoutMs: 120_000, ...(signal === undefined ? {} : { signal }) };
    await this.#kept.until('kubelet', () => this.#nodeReady(), wait);
    await this.#kept.until('coredns', () => this.#dnsReady(), wait);
    await this.#kept.until('kube-controller-manager', () => this.#defaultAccount(), wait);
    for (const name of parts) {
      if (this.#kept.pid(name) === undefined) throw new Error(`${name} ended:\n${this.#kept.lastWords(name)}`);
    }
  }

  async #start(name: Part, args: readonly string[]): Promise<void> {
    if (this.#kept.pid(name) !== undefined) return;
    const program = name === 'containerd' ? name : cachedProgram(name);
    await this.#node.keep(name, program, args);
  }

  #etcd(): string[] {
    const directory = join(this.places.directory, 'etcd');
    // The node's own loopback: nothing outside reaches it.
    return etcdArguments({ directory, host: '127.0.0.1', clientPort: 2379, peerPort: 2380 });
  }

  #apiServer(): string[] {
    const { nodeIP: host, serviceRange } = this.places;
    const etcd = 'http://127.0.0.1:2379';
    return apiServerArguments(new Authority(this.#authority), { etcd, host, port: 6443, serviceRange });
  }

  async #loadImages(signal: AbortSignal | undefined): Promise<void> {
    const there = async (): Promise<boolean> => existsSync(runtimeSocket(this.places));
    await this.#kept.until('containerd', there, { timeoutMs: 30_000, ...(signal === undefined ? {} : { signal }) });
    const listed = await command('ctr', [
      '--address',
      runtimeSocket(this.places),
      '--namespace',
      'k8s.io',
      'images',
      'ls',
      '-q',
    ]);
    for (const { reference, archive } of images.map(describeImage)) {
      if (!listed.split('\n').includes(reference)) await this.loadImage(archive, signal);
    }
  }

  async #untilServing(signal: AbortSignal | undefined): Promise<void> {
    const wait = { timeoutMs: 90_000, ...(signal === undefined ? {} : { signal }) };
    await this.#kept.until('kube-apiserver', () => this.#serving(), wait);
  }

  async #serving(): Promise<boolean> {
    const authority = join(this.#authority, 'ca.crt');
    return existsSync(authority) && isReady({ url: this.url, ca: readFileSync(authority) });
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
      return (await resolver.resolve4('kubernetes.default.svc.cluster.local')).includes(this.places.firstServiceIP);
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
    await this.#node.stop();
    for (const name of parts) await this.#kept.kill(name);
    await restoreMachine(this.places);
    const mounted = readFileSync('/proc/self/mounts', 'utf8').includes(` ${this.places.directory}/`);
    if (mounted) throw new Error(`something is still mounted below ${this.places.directory}: not removed`);
    rmSync(this.places.directory, { recursive: true, force: true });
  }

  #kubeconfig(name: string): string {
    return join(this.#authority, `${name}.kubeconfig`);
  }
}

/** What CoreDNS reads. */
const dnsRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: system:coredns }
rules:
- { apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch] }
- { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: system:coredns }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns }
subjects:
- { apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns }
`;
