// The levels of the controller's objects that the walk visits: where each is, which schema of the API server it has, and which fields the
// controller writes only for some documents.
// Neighbours: cage-walk.test.ts (visits), walk-values.ts (values), src/controller/children/ (what is written).
import type { Loose } from './cage-world.ts';

export interface Level {
  readonly kind: string;
  readonly name: string;
  /** The schema's document and the name of the level in it. */
  readonly document: string;
  readonly schema: string;
  /** The level's object within a child. */
  readonly at: (object: Loose) => Loose;
  /** Fields that the controller writes only for some documents, or that the API server owns. */
  readonly ours: readonly string[];
  /** Of a level of which only one field may be set: those that must go. */
  readonly instead: readonly string[];
}

const core = 'io.k8s.api.core.v1';
const apps = 'io.k8s.api.apps.v1';
const network = 'io.k8s.api.networking.v1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

const documents: Readonly<Record<string, string>> = {
  Deployment: 'apis/apps/v1',
  Service: 'api/v1',
  ServiceAccount: 'api/v1',
  NetworkPolicy: 'apis/networking.k8s.io/v1',
  PodDisruptionBudget: 'apis/policy/v1',
};

const owned = [
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'managedFields',
  'selfLink',
  'generateName',
];
// The API server ignores them in a write, or has them set by deletion alone.
const ignored = [...owned, 'deletionTimestamp', 'deletionGracePeriodSeconds'];
const users = ['nodeSelector', 'tolerations', 'affinity', 'priorityClassName', 'imagePullSecrets', 'serviceAccount'];
/** Nobody but `/status` may set it: a write of the object drops it. */
const status = ['status'];

interface More {
  readonly ours?: readonly string[];
  readonly instead?: readonly string[];
}

const level = (kind: string, name: string, schema: string, at: Level['at'], more: More = {}): Level => ({
  kind,
  name,
  schema,
  at,
  document: documents[kind] ?? '',
  ours: more.ours ?? [],
  instead: more.instead ?? [],
});

const podOf = (object: Loose): Loose => object['spec'].template.spec;
const containerOf = (object: Loose): Loose => podOf(object)['containers'][0];
const secretOf = (object: Loose): Loose => podOf(object)['volumes'][1];
const ingressOf = (object: Loose): Loose => object['spec'].ingress[0];

const probes = ['readinessProbe', 'startupProbe', 'livenessProbe'].flatMap((name) => [
  // 1 is the API server's default, and for two of the three the only value.
  level('Deployment', name, `${core}.Probe`, (object) => containerOf(object)[name], { ours: ['successThreshold'] }),
  level('Deployment', `${name}, question`, `${core}.HTTPGetAction`, (object) => containerOf(object)[name].httpGet),
]);

const everyObject = [
  ['Deployment', `${apps}.Deployment`],
  ['Service', `${core}.Service`],
  ['ServiceAccount', `${core}.ServiceAccount`],
  ['NetworkPolicy', `${network}.NetworkPolicy`],
  ['PodDisruptionBudget', 'io.k8s.api.policy.v1.PodDisruptionBudget'],
] as const;

export const levels: readonly Level[] = [
  ...everyObject.flatMap(([kind, schema]) => [
    level(kind, 'object', schema, (object) => object, { ours: status }),
    level(kind, 'metadata', `${meta}.ObjectMeta`, (object) => object['metadata'], { ours: ignored }),
    level(kind, 'owner', `${meta}.OwnerReference`, (object) => object['metadata'].ownerReferences[0]),
  ]),
  level('Deployment', 'spec', `${apps}.DeploymentSpec`, (object) => object['spec']),
  level('Deployment', 'strategy', `${apps}.DeploymentStrategy`, (object) => object['spec'].strategy),
  level(
    'Deployment',
    'step of the strategy',
    `${apps}.RollingUpdateDeployment`,
    (object) => object['spec'].strategy.rollingUpdate,
  ),
  level('Deployment', 'selector', `${meta}.LabelSelector`, (object) => object['spec'].selector),
  level('Deployment', 'template', `${core}.PodTemplateSpec`, (object) => object['spec'].template),
  level('Deployment', 'metadata of the pod', `${meta}.ObjectMeta`, (object) => object['spec'].template.metadata),
  level('Deployment', 'pod', `${core}.PodSpec`, podOf, { ours: users }),
  level(
    'Deployment',
    'security of the pod',
    `${core}.PodSecurityContext`,
    (object) => podOf(object)['securityContext'],
  ),
  level('Deployment', 'container', `${core}.Container`, containerOf),
  level(
    'Deployment',
    'security of the container',
    `${core}.SecurityContext`,
    (object) => containerOf(object)['securityContext'],
  ),
  level(
    'Deployment',
    'capabilities',
    `${core}.Capabilities`,
    (object) => containerOf(object)['securityContext'].capabilities,
  ),
  level('Deployment', 'resources', `${core}.ResourceRequirements`, (object) => containerOf(object)['resources']),
  level('Deployment', 'port', `${core}.ContainerPort`, (object) => containerOf(object)['ports'][0]),
  level('Deployment', 'variable', `${core}.EnvVar`, (object) => containerOf(object)['env'][1], {
    instead: ['valueFrom'],
  }),
  level(
    'Deployment',
    'source of a variable',
    `${core}.EnvVarSource`,
    (object) => containerOf(object)['env'][1].valueFrom,
    {
      instead: ['fieldRef'],
    },
  ),
  level(
    'Deployment',
    'field of a variable',
    `${core}.ObjectFieldSelector`,
    (object) => containerOf(object)['env'][1].valueFrom.fieldRef,
  ),
  level('Deployment', 'mount', `${core}.VolumeMount`, (object) => containerOf(object)['volumeMounts'][1]),
  level('Deployment', 'volume', `${core}.Volume`, secretOf, { instead: ['secret'] }),
  level('Deployment', 'Secret of a volume', `${core}.SecretVolumeSource`, (object) => secretOf(object)['secret']),
  level('Deployment', 'key of a Secret', `${core}.KeyToPath`, (object) => secretOf(object)['secret'].items[0]),
  level('Deployment', 'empty volume', `${core}.EmptyDirVolumeSource`, (object) => podOf(object)['volumes'][0].emptyDir),
  ...probes,
  level('Service', 'spec', `${core}.ServiceSpec`, (object) => object['spec']),
  level('Service', 'port', `${core}.ServicePort`, (object) => object['spec'].ports[0]),
  level('NetworkPolicy', 'spec', `${network}.NetworkPolicySpec`, (object) => object['spec']),
  level('NetworkPolicy', 'selector', `${meta}.LabelSelector`, (object) => object['spec'].podSelector),
  level('NetworkPolicy', 'rule', `${network}.NetworkPolicyIngressRule`, ingressOf),
  level('NetworkPolicy', 'port of a rule', `${network}.NetworkPolicyPort`, (object) => ingressOf(object)['ports'][0]),
  level('PodDisruptionBudget', 'spec', 'io.k8s.api.policy.v1.PodDisruptionBudgetSpec', (object) => object['spec']),
  level('PodDisruptionBudget', 'selector', `${meta}.LabelSelector`, (object) => object['spec'].selector),
];
