// Objects of every kind that an operator of tunnels owns, written with everything that reads back differently: quantities
// in other units, defaults left out, empty values, numbers as text.
import type { KubeObject, Resource } from '../../../src/controller/kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from '../../../src/controller/kube/base/resources.ts';

export interface Child {
  readonly resource: Resource;
  readonly object: KubeObject;
}

const labels = { app: 'x', 'app.kubernetes.io/managed-by': 'test' };

export function childrenIn(namespace: string): Child[] {
  const metadata = { namespace, name: 'child', labels, annotations: { 'example.dev/note': 'ours' } };
  const object = (resource: Resource, rest: object): Child => {
    const { group, version, kind } = resource;
    return {
      resource,
      object: { apiVersion: group === '' ? version : `${group}/${version}`, kind, metadata, ...rest },
    };
  };
  return [
    object(serviceAccounts, { automountServiceAccountToken: false }),
    object(services, {
      spec: {
        type: 'ClusterIP',
        selector: { app: 'x' },
        publishNotReadyAddresses: false,
        ports: [
          { name: 'db', port: 5432, protocol: 'TCP', targetPort: 'db' },
          { name: 'web', port: 80, protocol: 'TCP', targetPort: 8080, appProtocol: 'http' },
        ],
      },
    }),
    object(networkPolicies, {
      spec: {
        podSelector: { matchLabels: { app: 'x' } },
        policyTypes: ['Ingress'],
        ingress: [
          {
            from: [{ podSelector: {} }, { namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: {} }],
            ports: [{ port: 'db' }],
          },
          { from: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 9090, protocol: 'TCP' }] },
        ],
      },
    }),
    object(podDisruptionBudgets, {
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: { app: 'x' } } },
    }),
    object(deployments, { spec: deploymentSpec() }),
  ];
}

function deploymentSpec(): object {
  return {
    replicas: 2,
    minReadySeconds: 0,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    selector: { matchLabels: { app: 'x' } },
    template: {
      metadata: { labels, annotations: {} },
      spec: {
        serviceAccountName: 'child',
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        hostNetwork: false,
        terminationGracePeriodSeconds: 40,
        imagePullSecrets: [],
        nodeSelector: {},
        securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: { app: 'x' } },
          },
        ],
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] },
              ],
            },
          },
        },
        containers: [
          {
            name: 'tunnel',
            image: 'example.dev/tunnel:1',
            args: ['sidecar'],
            env: [
              { name: 'CONFIG', value: '{}' },
              { name: 'EMPTY', value: '' },
              { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } },
            ],
            ports: [
              { name: 'db', containerPort: 15_432, protocol: 'TCP' },
              { name: 'admin', containerPort: 9090, protocol: 'TCP' },
            ],
            readinessProbe: { httpGet: { path: '/readyz', port: 'admin' }, periodSeconds: 5, initialDelaySeconds: 0 },
            resources: { requests: { cpu: '0.02', memory: '98304Ki' }, limits: { cpu: '1000m', memory: '0.25Gi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [
              { name: 'tmp', mountPath: '/tmp' },
              { name: 'secret', mountPath: '/secret', readOnly: true },
              { name: 'token', mountPath: '/token', readOnly: true },
            ],
          },
        ],
        volumes: [
          { name: 'tmp', emptyDir: { sizeLimit: '1024Ki' } },
          { name: 'secret', secret: { secretName: 's', optional: true, items: [{ key: 'a', path: 'a' }] } },
          {
            name: 'token',
            projected: { sources: [{ serviceAccountToken: { audience: 'sts.amazonaws.com', path: 'token' } }] },
          },
        ],
      },
    },
  };
}
