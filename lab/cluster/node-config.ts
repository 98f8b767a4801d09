// The configuration files of what runs on the node. Each setting that is not obvious was found necessary on a machine without
// systemd and with control groups of version 1.
// Neighbour: host-cluster.ts writes them and starts the programs.
import { join } from 'node:path';
import { overlayIsPossible } from '../base/overlay.ts';
import type { Places } from '../base/places.ts';
import type { Authority } from './certificates.ts';

export const nodeName = 'node1';

/** The container runtime's socket, reachable from the machine too. */
export function runtimeSocket(places: Places): string {
  return join(places.directory, 'containerd.sock');
}

export function containerdConfig(places: Places, pauseImage: string): string {
  const inRun = (name: string): string => JSON.stringify(join(places.directory, name));
  return `version = 2
root = ${inRun('containerd')}
state = "/run/containerd"
oom_score = 0
[grpc]
  address = ${JSON.stringify(runtimeSocket(places))}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Without CAP_SYS_RESOURCE runc cannot lower a score and dies without saying so.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = ${inRun('cni')}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter(places)}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

/** Pods on one bridge, their traffic to anywhere else under the node's address. NetworkPolicy is not enforced. */
export function podNetwork(places: Places): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'pods',
        isDefaultGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: places.podRange }]] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
}

export function kubeletConfig(places: Places, authority: Authority): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: places.nodeIP,
    healthzBindAddress: places.nodeIP,
    containerRuntimeEndpoint: `unix://${runtimeSocket(places)}`,
    tlsCertFile: authority.certificate('kubelet-server'),
    tlsPrivateKeyFile: authority.key('kubelet-server'),
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: authority.certificate() },
    },
    authorization: { mode: 'Webhook' },
    clusterDNS: [places.nodeIP],
    clusterDomain: 'cluster.local',
    resolvConf: '/dev/null',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${places.name}`,
    failCgroupV1: false,
    failSwapOn: false,
    // Lowering it needs a capability that containers of CI services lack.
    oomScoreAdj: 0,
    // The file system's device is not found on every machine; nothing here limits storage.
    localStorageCapacityIsolation: false,
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    podLogsDir: join(places.directory, 'pod-logs'),
    volumePluginDir: join(places.directory, 'volume-plugins'),
    // A changed Secret is in its pods after about 4 s.
    syncFrequency: '5s',
    fileCheckFrequency: '20s',
    nodeStatusUpdateFrequency: '5s',
    serializeImagePulls: false,
    maxPods: 500,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    shutdownGracePeriod: '0s',
  });
}

export function kubeProxyConfig(places: Places, kubeconfig: string): string {
  return JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    bindAddress: places.nodeIP,
    healthzBindAddress: `${places.nodeIP}:10256`,
    metricsBindAddress: `${places.nodeIP}:10249`,
    clusterCIDR: places.podRange,
    clientConnection: { kubeconfig, qps: 50, burst: 100 },
    hostnameOverride: nodeName,
    // Only the machine's first network namespace may change these.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });
}

/** Service names for pods, and the names of `hosts`: a file that is read again within half a second of a change. */
export function corefile(places: Places, kubeconfig: string, hosts: string, rootZone: string): string {
  return `.:53 {
  bind ${places.nodeIP}
  errors
  hosts ${hosts} {
    ttl 1
    reload 500ms
    fallthrough
  }
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    ttl 1
  }
  # Everything else does not exist: nothing is asked of the outside.
  file ${rootZone} .
}
`;
}

/** A root zone that holds no names at all. */
export const emptyRootZone = `. 1 IN SOA ns.invalid. nobody.invalid. 1 60 60 60 1
. 1 IN NS ns.invalid.
`;

/** How containerd keeps the layers of images. */
export function snapshotter(places: Places): 'overlayfs' | 'native' {
  return overlayIsPossible(places.directory) ? 'overlayfs' : 'native';
}
