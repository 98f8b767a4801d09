// What the admission policies on the controller's writes compare with: the constant parts of its own objects as CEL literals, so that the
// policies follow the code. The objects of a sample document are the source; what the API server fills in is added here.
// Neighbours: chart-rules.ts (puts them into the chart), src/controller/children/ (the source), helm/templates/admission-*.yaml (use them).
import { apiVersion, kind } from '../../src/contract/api/names.ts';
import { noNativeDataPathOption } from '../../src/contract/data-path.ts';
import {
  awsEndpointOption,
  flyApiUrlOption,
  insecureHostKeysOption,
  nodeRoleOption,
} from '../../src/contract/permissions.ts';
import {
  adminPort,
  adminPortName,
  configVariable,
  containerName,
  logLevelVariable,
  memoryDirectory,
} from '../../src/contract/pod.ts';
import { secretKeys } from '../../src/contract/secret-keys.ts';
import { traceEndpointOption, traceHeaderOption, tracingDirectory } from '../../src/contract/tracing.ts';
import { validPortForward } from '../../src/controller/base/portforward.ts';
import { readSettings } from '../../src/controller/base/settings.ts';
import { desiredChildren } from '../../src/controller/children/index.ts';
import { commonLabels, nameLabel } from '../../src/controller/children/names.ts';

const caBundle = 'CA_BUNDLE';

/** CEL takes no literal of mixed types: each part is made dynamic. */
function celLiteral(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => `dyn(${celLiteral(item)})`).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}: dyn(${celLiteral(field)})`).join(', ')}}`;
}

/** Name of a template → its text. */
export function cageRules(): Readonly<Record<string, string>> {
  const { deployment, serviceAccount } = sampleChildren();
  const { spec } = deployment;
  const pod = spec?.template.spec;
  const [container] = pod?.containers ?? [];
  if (spec === undefined || pod === undefined || container === undefined) throw new Error('the sample has no pod');
  const probes = ['readinessProbe', 'startupProbe', 'livenessProbe'] as const;
  const environment = container.env ?? [];
  const { [nameLabel]: _, ...labels } = commonLabels({ metadata: { name: 'sample' } } as never);
  const text: Record<string, unknown> = {
    apiVersion,
    kind,
    labels,
    selectorLabel: 'app.kubernetes.io/managed-by',
    deployment: pick(spec, ['revisionHistoryLimit', 'progressDeadlineSeconds', 'strategy']),
    pod: {
      ...pick(pod, ['automountServiceAccountToken', 'enableServiceLinks', 'securityContext']),
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
    },
    container: {
      ...pick(container, ['name', 'securityContext', 'terminationMessagePolicy']),
      ...Object.fromEntries(probes.map((name) => [name, { ...container[name], successThreshold: 1 }])),
      terminationMessagePath: '/dev/termination-log',
    },
    templateAnnotations: pick(spec.template.metadata?.annotations ?? {}, [
      'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes',
    ]),
    serviceAccount: pick(serviceAccount ?? {}, ['automountServiceAccountToken' as never]),
  };
  return {
    ...Object.fromEntries(Object.entries(text).map(([name, value]) => [name, celLiteral(value)])),
    containerName: JSON.stringify(containerName),
    adminPort: celLiteral({ name: adminPortName, containerPort: adminPort, protocol: 'TCP' }),
    configVariable: JSON.stringify(configVariable),
    logLevelVariable: JSON.stringify(logLevelVariable),
    environment: celLiteral(environment.filter(({ valueFrom }) => valueFrom !== undefined)),
    caVariable: celLiteral(environment.find(({ name }) => name === 'NODE_EXTRA_CA_CERTS')),
    ...volumeRules(pod.volumes ?? [], container.volumeMounts ?? []),
    secretKeys: JSON.stringify(Object.values(secretKeys).flat()),
    insecureHostKeysOption,
    nodeRoleOption,
    awsEndpointOption,
    flyApiUrlOption,
    noNativeDataPathOption,
    traceEndpointOption,
    traceHeaderOption,
    traceMount: celLiteral({ name: 'tracing', readOnly: true, mountPath: tracingDirectory }),
  };
}

interface Named {
  readonly name: string;
}

/** The volumes that hold no Secret, each with its mount; the ConfigMap's name is the chart's. */
function volumeRules(volumes: readonly Named[], mounts: readonly Named[]): Record<string, string> {
  const one = (list: readonly Named[], name: string): Named => {
    const found = list.find((each) => each.name === name);
    if (found === undefined) throw new Error(`the sample has no volume ${name}`);
    return found;
  };
  const memory = { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } };
  const ca = structuredClone(one(volumes, 'ca')) as Named & { configMap: Record<string, unknown> };
  ca.configMap['defaultMode'] = 0o644;
  const given = '{{ .Values.tunnels.caBundle }}';
  return {
    volumes: celLiteral([one(volumes, 'tmp'), memory]),
    mounts: celLiteral([one(mounts, 'tmp'), { name: 'memory', mountPath: memoryDirectory }]),
    caVolume: celLiteral(ca).replaceAll(caBundle, given),
    caMount: celLiteral(one(mounts, 'ca')),
  };
}

function sampleChildren(): ReturnType<typeof desiredChildren> {
  const { tunnel } = readSettings(['--tunnel-image=sample', `--tunnel-ca-bundle=${caBundle}`], {
    POD_NAMESPACE: 'operator',
  });
  const document = {
    apiVersion,
    kind,
    metadata: { name: 'sample', namespace: 'sample', uid: 'sample' },
    spec: { ports: [{ port: 5432 }], ssm: { region: 'eu-west-1', target: { instanceId: 'i-0abc' } } },
  };
  return desiredChildren(validPortForward(document as never), tunnel, true);
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}
