// The pod template of a tunnel: restricted Pod Security, no Kubernetes token, Secrets as optional files, the config as one variable.
// Holds only what the sidecar or its pod needs, because every change replaces the pods. Pure.
// Neighbours: deployment.ts (around it), contract/pod.ts (the facts that the sidecar shares).
import { reconnectAnnotation } from '../../contract/api/names.ts';
import { dataPathArguments } from '../../contract/data-path.ts';
import { defined } from '../../contract/defined.ts';
import { TunnelError } from '../../contract/errors.ts';
import { permissionArguments } from '../../contract/permissions.ts';
import {
  adminPort,
  adminPortName,
  configVariable,
  containerName,
  logLevelVariable,
  maxConfigBytes,
  memoryDirectory,
  podNameVariable,
  podUidVariable,
  secretDirectory,
} from '../../contract/pod.ts';
import { secretKeysOf, secretNamesOf } from '../../contract/secrets.ts';
import { type Tracing, tracingArguments, tracingDirectory } from '../../contract/tracing.ts';
import type { TunnelConfig } from '../../contract/tunnel-config.ts';
import { podPlacement, tunnelConfigOf } from '../../contract/tunnel-config-of.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from '../drivers/driver-plan.ts';
import { hashOf } from '../kube/base/hash.ts';
import type { Deployment } from '../kube/base/resources.ts';
import { childName, commonLabels, identityAnnotation, selectorLabels } from './names.ts';

export type PodTemplate = NonNullable<Deployment['spec']>['template'];
type PodSpec = NonNullable<PodTemplate['spec']>;
type Container = PodSpec['containers'][number];

/** Distroless’s `nonroot`; a number, so that the kubelet can check runAsNonRoot. */
const user = 65532;

/** Time to close sessions and exit after the drain deadline. */
const terminationMarginSeconds = 10;

const defaultResources = { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '256Mi' } };

const overHosts: NonNullable<NonNullable<ValidPortForward['spec']['pod']>['topologySpreadConstraints']>[number] = {
  maxSkew: 1,
  topologyKey: 'kubernetes.io/hostname',
  whenUnsatisfiable: 'ScheduleAnyway',
};

const caDirectory = '/etc/portforward/ca';

/** @throws TunnelError ConfigTooLarge. */
export function podTemplate(portForward: ValidPortForward, plan: DriverPlan, settings: TunnelSettings): PodTemplate {
  const { metadata, spec } = portForward;
  const pod = spec.pod ?? {};
  const reconnectAt = metadata.annotations?.[reconnectAnnotation];
  const identity = plan.serviceAccountAnnotations;
  const pullSecrets = [
    ...new Set([...settings.imagePullSecrets, ...(pod.imagePullSecrets ?? []).map(({ name }) => name)]),
  ];
  return {
    metadata: {
      labels: { ...pod.labels, ...commonLabels(portForward) },
      annotations: {
        ...pod.annotations,
        // /tmp holds nothing of value; without this the cluster autoscaler would keep a node alive for it.
        'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes': 'tmp',
        ...defined({
          [reconnectAnnotation]: reconnectAt,
          // A cloud gives a pod its identity when the pod is created, so another identity needs other pods.
          [identityAnnotation]: Object.keys(identity).length === 0 ? undefined : hashOf(identity),
        }),
      },
    },
    spec: defined({
      serviceAccountName: pod.serviceAccountName ?? childName(portForward),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: spec.connection.drainTimeoutSeconds + terminationMarginSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [container(portForward, plan, settings)],
      volumes: volumes(portForward, plan, settings),
      topologySpreadConstraints: (pod.topologySpreadConstraints ?? [overHosts]).map((each) => ({
        ...each,
        // Without a selector Kubernetes counts no pod at all.
        labelSelector: each.labelSelector ?? { matchLabels: selectorLabels(portForward) },
      })),
      imagePullSecrets: pullSecrets.length === 0 ? undefined : pullSecrets.map((name) => ({ name })),
      nodeSelector: pod.nodeSelector,
      tolerations: pod.tolerations,
      affinity: pod.affinity as PodSpec['affinity'],
      priorityClassName: pod.priorityClassName,
    }),
  };
}

function container(portForward: ValidPortForward, plan: DriverPlan, settings: TunnelSettings): Container {
  const { metadata, spec } = portForward;
  const config = tunnelConfigOf(
    { metadata: { name: metadata.name, namespace: metadata.namespace }, spec },
    podPlacement(spec),
  );
  return {
    name: containerName,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: [
      'sidecar',
      ...permissionArguments(plan.permissions),
      ...dataPathArguments(settings.noNativeDataPath && spec.ssh !== undefined),
      ...tracingArguments(tracingOf(settings)),
    ],
    env: environment(configText(config), plan, settings),
    ports: [
      ...config.forwards.map(({ name, listenPort }) => ({
        name,
        containerPort: listenPort,
        protocol: 'TCP',
      })),
      { name: adminPortName, containerPort: adminPort, protocol: 'TCP' },
    ],
    resources: resources(spec.pod?.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    // An unready pod gets no new clients. Short, so that a lost tunnel leaves the endpoints quickly and a new one enters them quickly.
    readinessProbe: probe('/readyz', { periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 3 }),
    startupProbe: probe('/livez', { periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 60 }),
    // Long, because a restart costs every open connection: only for a process that is really stuck.
    livenessProbe: probe('/livez', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'tmp', mountPath: '/tmp' },
      ...(plan.memoryFolder === true ? [{ name: 'memory', mountPath: memoryDirectory }] : []),
      ...secretNamesOf(spec).map((secretName, index) => ({
        name: secretVolume(index),
        mountPath: secretDirectory(secretName),
        readOnly: true,
      })),
      ...(plan.caBundle === '' ? [] : [{ name: 'ca', mountPath: caDirectory, readOnly: true }]),
      ...(hasTraceHeaders(settings) ? [{ name: 'tracing', mountPath: tracingDirectory, readOnly: true }] : []),
    ],
  };
}

type Quantities = Readonly<Record<string, string | number>>;

function resources(given: { readonly requests?: Quantities; readonly limits?: Quantities } | undefined) {
  if (given === undefined) return defaultResources;
  const texts = (quantities: Quantities) =>
    Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, String(quantity)]));
  return defined({
    requests: given.requests && texts(given.requests),
    limits: given.limits && texts(given.limits),
  });
}

function environment(config: string, plan: DriverPlan, settings: TunnelSettings): NonNullable<Container['env']> {
  const field = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
  });
  return [
    { name: configVariable, value: config },
    field(podNameVariable, 'metadata.name'),
    field(podUidVariable, 'metadata.uid'),
    ...plan.environment,
    ...(settings.logLevel === 'info' ? [] : [{ name: logLevelVariable, value: settings.logLevel }]),
    ...(plan.caBundle === '' ? [] : [{ name: 'NODE_EXTRA_CA_CERTS', value: `${caDirectory}/ca.crt` }]),
  ];
}

function volumes(
  { spec }: ValidPortForward,
  plan: DriverPlan,
  settings: TunnelSettings,
): NonNullable<PodSpec['volumes']> {
  const items = secretKeysOf(spec).map((key) => ({ key, path: key }));
  return [
    { name: 'tmp', emptyDir: { sizeLimit: '16Mi' } },
    ...(plan.memoryFolder === true ? [{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }] : []),
    // Optional: the pod starts without the Secret and reports that, instead of hanging in ContainerCreating.
    ...secretNamesOf(spec).map((secretName, index) => ({
      name: secretVolume(index),
      secret: { secretName, optional: true, defaultMode: 0o440, items },
    })),
    ...(plan.caBundle === ''
      ? []
      : [
          {
            name: 'ca',
            configMap: { name: plan.caBundle, optional: true, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
          },
        ]),
    ...(hasTraceHeaders(settings)
      ? [
          {
            name: 'tracing',
            secret: {
              secretName: settings.traceHeadersSecret,
              optional: true,
              defaultMode: 0o440,
              items: settings.traceHeaders.map((key) => ({ key, path: key })),
            },
          },
        ]
      : []),
  ];
}

const tracingOf = ({ traceEndpoint, traceHeaders }: TunnelSettings): Tracing => ({
  endpoint: traceEndpoint,
  headers: traceHeaders,
});

const hasTraceHeaders = ({ traceEndpoint, traceHeaders, traceHeadersSecret }: TunnelSettings): boolean =>
  traceEndpoint !== '' && traceHeaders.length > 0 && traceHeadersSecret !== '';

const secretVolume = (index: number): string => `secret-${index}`;

function probe(path: string, timing: { periodSeconds: number; timeoutSeconds: number; failureThreshold: number }) {
  return { httpGet: { path, port: adminPortName, scheme: 'HTTP' }, ...timing };
}

/** The config as the environment variable holds it. @throws TunnelError ConfigTooLarge over 100 KiB. */
function configText(config: TunnelConfig): string {
  const text = JSON.stringify(config);
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxConfigBytes) return text;
  throw new TunnelError(
    'ConfigTooLarge',
    `the tunnel configuration has ${bytes} bytes, more than the ${maxConfigBytes} that fit into a pod’s environment`,
  );
}
