// Every field of the API server's own schema that the controller never writes is refused to the controller's user, so that a field of a
// later Kubernetes is refused, too. The schema is walked level by level; each field gets one object in a server-side dry run.
// Neighbours: cage-world.ts; walk-values.ts makes a value for each field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CageWorld, type Loose } from './cage-world.ts';
import { type Schema, Schemas } from './walk-values.ts';

let world: CageWorld;
before(async () => {
  world = await CageWorld.start();
});
after(() => world?.stop());

interface Level {
  readonly kind: string;
  readonly name: string;
  /** The schema's document and the name of the level in it. */
  readonly document: string;
  readonly schema: string;
  /** The level's object within a child. */
  readonly at: (object: Loose) => Loose;
  /** Fields that the controller writes only for some documents, or that the API server owns. */
  readonly ours: readonly string[];
}

const core = 'io.k8s.api.core.v1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const apps = 'apis/apps/v1';
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
const podOf = (object: Loose): Loose => object['spec'].template.spec;
const containerOf = (object: Loose): Loose => podOf(object)['containers'][0];
const users = ['nodeSelector', 'tolerations', 'affinity', 'priorityClassName', 'imagePullSecrets', 'serviceAccount'];
const levels: readonly Level[] = [
  {
    kind: 'Deployment',
    name: 'metadata',
    document: apps,
    schema: meta,
    at: (object) => object['metadata'],
    ours: ignored,
  },
  {
    kind: 'Deployment',
    name: 'spec',
    document: apps,
    schema: 'io.k8s.api.apps.v1.DeploymentSpec',
    at: (object) => object['spec'],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'metadata of the pod',
    document: apps,
    schema: meta,
    at: (object) => object['spec'].template.metadata,
    ours: [],
  },
  { kind: 'Deployment', name: 'pod', document: apps, schema: `${core}.PodSpec`, at: podOf, ours: users },
  { kind: 'Deployment', name: 'container', document: apps, schema: `${core}.Container`, at: containerOf, ours: [] },
  {
    kind: 'Deployment',
    name: 'security of the container',
    document: apps,
    schema: `${core}.SecurityContext`,
    at: (object) => containerOf(object)['securityContext'],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'security of the pod',
    document: apps,
    schema: `${core}.PodSecurityContext`,
    at: (object) => podOf(object)['securityContext'],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'resources',
    document: apps,
    schema: `${core}.ResourceRequirements`,
    at: (object) => containerOf(object)['resources'],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'port',
    document: apps,
    schema: `${core}.ContainerPort`,
    at: (object) => containerOf(object)['ports'][0],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'mount',
    document: apps,
    schema: `${core}.VolumeMount`,
    at: (object) => containerOf(object)['volumeMounts'][1],
    ours: [],
  },
  {
    kind: 'Deployment',
    name: 'probe',
    document: apps,
    schema: `${core}.HTTPGetAction`,
    at: (object) => containerOf(object)['readinessProbe'].httpGet,
    ours: [],
  },
  {
    kind: 'Service',
    name: 'metadata',
    document: 'api/v1',
    schema: meta,
    at: (object) => object['metadata'],
    ours: ignored,
  },
  {
    kind: 'Service',
    name: 'spec',
    document: 'api/v1',
    schema: `${core}.ServiceSpec`,
    at: (object) => object['spec'],
    ours: [],
  },
  {
    kind: 'Service',
    name: 'port',
    document: 'api/v1',
    schema: `${core}.ServicePort`,
    at: (object) => object['spec'].ports[0],
    ours: [],
  },
  {
    kind: 'ServiceAccount',
    name: 'metadata',
    document: 'api/v1',
    schema: meta,
    at: (object) => object['metadata'],
    ours: ignored,
  },
  {
    kind: 'ServiceAccount',
    name: 'object',
    document: 'api/v1',
    schema: `${core}.ServiceAccount`,
    at: (object) => object,
    ours: [],
  },
  {
    kind: 'NetworkPolicy',
    name: 'spec',
    document: 'apis/networking.k8s.io/v1',
    schema: 'io.k8s.api.networking.v1.NetworkPolicySpec',
    at: (object) => object['spec'],
    ours: [],
  },
  {
    kind: 'PodDisruptionBudget',
    name: 'spec',
    document: 'apis/policy/v1',
    schema: 'io.k8s.api.policy.v1.PodDisruptionBudgetSpec',
    at: (object) => object['spec'],
    ours: [],
  },
];

for (const level of levels) {
  test(`${level.kind}, ${level.name}: no field passes but what the controller writes`, async (t) => {
    const schemas = new Schemas(await world.server.kubectl(['get', '--raw', `/openapi/v3/${level.document}`]));
    const written = new Set([...Object.keys(level.at(world.child(level.kind))), ...level.ours]);
    const fields = Object.entries(schemas.properties(level.schema)).filter(([field]) => !written.has(field));
    const passed: string[] = [];
    const byServer: string[] = [];
    await eachOf(fields, 4, async ([field, schema]: [string, Schema]) => {
      const object = world.child(level.kind);
      level.at(object)[field] = schemas.value(field, schema);
      const said = await world.write(object, ['--dry-run=server', '--output', 'json']).then(
        // A field of a feature that is off is dropped before it can have an effect.
        (answer) => (field in level.at(JSON.parse(answer) as Loose) ? passed.push(field) : ''),
        String,
      );
      if (typeof said === 'string' && !said.includes("ValidatingAdmissionPolicy '")) byServer.push(field);
    });
    t.diagnostic(
      `${fields.length} fields, of which the API server itself drops or refuses ${byServer.join(', ') || 'none'}`,
    );
    assert.deepEqual(passed, []);
  });
}

/** Runs the work for each item, some at a time. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
