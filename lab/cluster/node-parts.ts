// What runs on the node: the command line of each part, and the certificates and files that they read.
// Neighbours: control-plane.ts and node-config.ts have the settings; host-cluster.ts starts the parts in this order.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cachedProgram, type Places } from '../base/places.ts';
import { describeImage } from '../images/images.ts';
import { fingerprint } from '../programs/programs.ts';
import { Authority, issueApiServer } from './certificates.ts';
import { apiServerArguments, controllerManagerArguments, etcdArguments, schedulerArguments } from './control-plane.ts';
import { hostsFile, setHostAddresses } from './dns.ts';
import {
  containerdConfig,
  corefile,
  emptyRootZone,
  kubeletConfig,
  kubeProxyConfig,
  nodeName,
  podNetwork,
} from './node-config.ts';
import { nodeScript } from './node-namespace.ts';

/** In starting order: containerd early, because loading images takes as long as the API server's start. */
export const parts = [
  'etcd',
  'kube-apiserver',
  'containerd',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubelet',
  'coredns',
] as const;
export type Part = (typeof parts)[number];

export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

export function apiServerUrl(places: Places): string {
  return `https://${places.nodeIP}:6443`;
}

export function authorityOf(places: Places): Authority {
  return new Authority(join(places.directory, 'certificates'));
}

/** How each part is started. */
export function commandLine(part: Part, places: Places): CommandLine {
  const args = lines[part](places, authorityOf(places));
  return { program: part === 'containerd' ? part : cachedProgram(part), args };
}

const kubeconfigOf = (places: Places) => (name: string) => join(places.directory, 'certificates', `${name}.kubeconfig`);

const lines: Readonly<Record<Part, (places: Places, authority: Authority) => string[]>> = {
  // On the node's own loopback: nothing outside reaches it.
  etcd: ({ directory }) =>
    etcdArguments({ directory: join(directory, 'etcd'), host: '127.0.0.1', clientPort: 2379, peerPort: 2380 }),
  'kube-apiserver': ({ nodeIP: host, serviceRange }, authority) =>
    apiServerArguments(authority, { etcd: 'http://127.0.0.1:2379', host, port: 6443, serviceRange }),
  containerd: ({ directory }) => ['--config', join(directory, 'containerd.toml')],
  'kube-controller-manager': (places, authority) =>
    controllerManagerArguments(authority, kubeconfigOf(places), places.nodeIP),
  'kube-scheduler': (places) => schedulerArguments(kubeconfigOf(places), places.nodeIP),
  'kube-proxy': ({ directory }) => ['--config', join(directory, 'kube-proxy.json')],
  kubelet: (places) => [
    `--config=${join(places.directory, 'kubelet.json')}`,
    `--kubeconfig=${kubeconfigOf(places)('kubelet')}`,
    `--root-dir=${join(places.directory, 'kubelet')}`,
    `--cert-dir=${join(places.directory, 'kubelet')}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${places.nodeIP}`,
  ],
  coredns: ({ directory }) => ['-conf', join(directory, 'Corefile')],
};

/** Makes the authority, every part's certificate and kubeconfig, and the configuration files. */
export async function writeNodeFiles(places: Places): Promise<void> {
  for (const name of ['cni', 'pod-logs', 'volume-plugins', 'kubelet']) {
    mkdirSync(join(places.directory, name), { recursive: true });
  }
  const authority = authorityOf(places);
  await authority.create();
  const users: Readonly<Record<string, string>> = {
    'controller-manager': 'system:kube-controller-manager',
    scheduler: 'system:kube-scheduler',
    'kube-proxy': 'system:kube-proxy',
    coredns: 'system:coredns',
  };
  await Promise.all([
    issueApiServer(authority, [places.nodeIP, places.firstServiceIP, '127.0.0.1']),
    ...Object.entries(users).map(([name, user]) => authority.issue(name, { user })),
    authority.issue('kubelet', { user: `system:node:${nodeName}`, groups: ['system:nodes'] }),
    authority.issue('kubelet-server', { user: nodeName, addresses: [places.nodeIP], names: [nodeName] }),
  ]);
  const url = apiServerUrl(places);
  for (const name of [...Object.keys(users), 'kubelet']) {
    authority.writeKubeconfig(kubeconfigOf(places)(name), url, name);
  }
  for (const [name, content] of Object.entries(configs(places))) writeFileSync(join(places.directory, name), content);
  await setHostAddresses(places, 'node.example.test', [places.nodeIP]);
}

/** File → content. */
function configs(places: Places): Readonly<Record<string, string>> {
  const kubeconfig = kubeconfigOf(places);
  const rootZone = join(places.directory, 'root.zone');
  return {
    'containerd.toml': containerdConfig(places, describeImage('pause').reference),
    'cni/10-pods.conflist': podNetwork(places),
    'kubelet.json': kubeletConfig(places, authorityOf(places)),
    'kube-proxy.json': kubeProxyConfig(places, kubeconfig('kube-proxy')),
    'root.zone': emptyRootZone,
    Corefile: corefile(places, kubeconfig('coredns'), hostsFile(places), rootZone),
  };
}

/** Everything that decides what a cluster is, as one number: with another one it must be made anew. */
export function recipeOf(places: Places): string {
  const programs = parts.filter((part) => part !== 'containerd').map(fingerprint);
  const commandLines = parts.map((part) => commandLine(part, places));
  const all = [programs, commandLines, configs(places), nodeScript(places)];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** What CoreDNS reads. */
export const dnsRights = `apiVersion: rbac.authorization.k8s.io/v1
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
