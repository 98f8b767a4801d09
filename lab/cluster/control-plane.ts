// The command lines of etcd and the parts of the control plane, with the settings that a test cluster needs.
// Neighbours: api-server.ts starts two of them alone; host-cluster.ts starts all inside the node.
import type { Authority } from './certificates.ts';

export interface EtcdAddresses {
  readonly directory: string;
  readonly host: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

/** Without waiting for the disk: a test cluster's data need not survive a power cut. */
export function etcdArguments({ directory, host, clientPort, peerPort }: EtcdAddresses): string[] {
  const client = `http://${host}:${clientPort}`;
  const peer = `http://${host}:${peerPort}`;
  return [
    '--name=test',
    `--data-dir=${directory}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=test=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
    // The default of 2 GiB is small for runs with tens of thousands of objects.
    '--quota-backend-bytes=6442450944',
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=5m',
  ];
}

export interface ApiServerAddresses {
  readonly etcd: string;
  readonly host: string;
  readonly port: number;
  readonly serviceRange: string;
}

/** RBAC and node authorization, default admission plugins (Pod Security, validating policies) and node restriction. */
export function apiServerArguments(
  authority: Authority,
  { etcd, host, port, serviceRange }: ApiServerAddresses,
): string[] {
  return [
    `--etcd-servers=${etcd}`,
    `--bind-address=${host}`,
    `--advertise-address=${host}`,
    `--secure-port=${port}`,
    `--service-cluster-ip-range=${serviceRange}`,
    `--tls-cert-file=${authority.certificate('api-server')}`,
    `--tls-private-key-file=${authority.key('api-server')}`,
    `--client-ca-file=${authority.certificate()}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${authority.serviceAccountKey}`,
    `--service-account-signing-key-file=${authority.serviceAccountKey}`,
    `--kubelet-client-certificate=${authority.certificate('kubelet-client')}`,
    `--kubelet-client-key=${authority.key('kubelet-client')}`,
    `--kubelet-certificate-authority=${authority.certificate()}`,
    // The node's name resolves nowhere: exec and logs go to its address.
    '--kubelet-preferred-address-types=InternalIP',
    // Its watch of the endpoints of "kubernetes" would outlive the server by 15 s otherwise.
    '--shutdown-delay-duration=0s',
    '--profiling=false',
  ];
}

/** `kubeconfig(name)` is the file that the named part finds the API server by. */
export function controllerManagerArguments(
  authority: Authority,
  kubeconfig: (name: string) => string,
  host: string,
): string[] {
  return [
    ...clientArguments(kubeconfig('controller-manager'), host),
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${authority.serviceAccountKey}`,
    `--root-ca-file=${authority.certificate()}`,
    `--cluster-signing-cert-file=${authority.certificate()}`,
    `--cluster-signing-key-file=${authority.key()}`,
    '--allocate-node-cidrs=false',
  ];
}

export function schedulerArguments(kubeconfig: (name: string) => string, host: string): string[] {
  return clientArguments(kubeconfig('scheduler'), host);
}

/** What both of these clients of the API server are told: who they are, where they listen, and that each is the only one of its kind. */
function clientArguments(kubeconfig: string, host: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--bind-address=${host}`,
    '--leader-elect=false',
    // The default of 20 requests a second is what a test with many Deployments would measure.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ];
}
