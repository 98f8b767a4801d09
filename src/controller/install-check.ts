// Whether an install works, as the chart's test asks it: the definition is served and as new as this build, a controller leads, and the API
// server judges PortForwards as it should. Documents are asked for in dry runs, so nothing is stored.
// Neighbours: ../cli/verify-install.ts (prints it), helm/templates/tests/ (the pod and its rights).
import { fieldPaths } from '../contract/api/field-paths.ts';
import { apiVersion, group, kind, plural, version } from '../contract/api/names.ts';
import { PortForwardSchema } from '../contract/api/portforward.ts';
import { type Clock, sleep, systemClock } from '../process/clock.ts';
import { portForwards } from './base/portforward.ts';
import { isApiFailure, isInvalid } from './kube/base/api-error.ts';
import { refusingPolicy } from './kube/base/policy-refusal.ts';
import { leases } from './kube/base/resources.ts';
import { recordOf } from './kube/leaderelection/lease-record.ts';
import type { Kube } from './kube/rest/kube.ts';
import type { KubeTransport } from './kube/rest/transport.ts';

export interface InstallCheckOptions {
  readonly transport: Pick<KubeTransport, 'request'>;
  readonly kube: Pick<Kube, 'get' | 'create'>;
  /** Of the install's controllers. */
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Where documents are tried. */
  readonly namespace: string;
  readonly className: string;
  /** Whether the install has the policy that judges which Secrets a PortForward may name. */
  readonly judgesReferences: boolean;
  /** Called for each finding, in order. */
  readonly onFinding: (finding: Finding) => void;
  readonly clock?: Clock;
  /** A finding is asked for again until this has gone by since the beginning, in milliseconds. Default: 45 s, more than a new leader needs. */
  readonly patienceMs?: number;
}

export interface Finding {
  readonly ok: boolean;
  /** What holds, or what is wrong and what to do. */
  readonly sentence: string;
}

/** What does not hold. */
class NotSo extends Error {
  override readonly name = 'NotSo';
}

const pauseMs = 1_000;
const requestMs = 10_000;

/** Asks one question after the other, also after a bad finding; resolves with whether all were good. Rejects with the signal's reason. */
export async function checkInstall(options: InstallCheckOptions, signal: AbortSignal): Promise<boolean> {
  const { clock = systemClock, patienceMs = 45_000 } = options;
  const until = clock.now() + patienceMs;
  let good = true;
  for (const question of [definition, leader, accepted, refusedByRules, refusedByPolicy]) {
    const finding = await insist(() => question(options, signal), { until, clock, signal });
    options.onFinding(finding);
    good &&= finding.ok;
  }
  return good;
}

interface Patience {
  readonly until: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Right after an install or upgrade, definition, rights and policies act a moment later, and nobody leads yet. */
async function insist(question: () => Promise<string>, { until, clock, signal }: Patience): Promise<Finding> {
  for (;;) {
    try {
      return { ok: true, sentence: await question() };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof NotSo || isApiFailure(error))) throw error;
      if (clock.now() >= until) return { ok: false, sentence: error.message };
    }
    await sleep(pauseMs, { signal, clock });
  }
}

interface ApiSchema {
  readonly properties?: Readonly<Record<string, ApiSchema>>;
  readonly items?: ApiSchema;
  readonly 'x-kubernetes-group-version-kind'?: readonly { readonly kind?: string }[];
}

async function definition(options: InstallCheckOptions, signal: AbortSignal): Promise<string> {
  const read = (path: string): Promise<unknown> =>
    options.transport.request({
      method: 'GET',
      path,
      connectionClass: 'unary',
      repeat: 'idempotent',
      signal,
      deadlineMs: requestMs,
    });
  const { resources = [] } = (await read(`/apis/${apiVersion}`)) as { resources?: readonly { name?: string }[] };
  const missing = [plural, `${plural}/status`, `${plural}/scale`].filter(
    (name) => !resources.some((each) => each.name === name),
  );
  if (missing.length > 0) throw new NotSo(`the API server does not serve ${missing.join(', ')} of ${apiVersion}`);
  const document = (await read(`/openapi/v3/apis/${group}/${version}`)) as {
    components?: { schemas?: Readonly<Record<string, ApiSchema>> };
  };
  const served = Object.values(document.components?.schemas ?? {}).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some((each) => each.kind === kind),
  );
  const known = new Set(servedPaths(served?.properties?.['spec'], []));
  const fields = fieldPaths(PortForwardSchema.shape.spec);
  const lacking = fields.filter((path) => !known.has(path));
  if (lacking.length > 0)
    throw new NotSo(
      `the definition ${plural}.${group} is older than this install: it lacks ${lacking.map((path) => `spec.${path}`).join(', ')}. Upgrade the release that owns it`,
    );
  return `the API server serves ${kind} of ${apiVersion}, with every field of this version`;
}

function servedPaths(schema: ApiSchema | undefined, at: readonly string[]): string[] {
  if (schema?.items !== undefined) return servedPaths(schema.items, at);
  return Object.entries(schema?.properties ?? {}).flatMap(([name, field]) => {
    const path = [...at, name];
    return [path.join('.'), ...servedPaths(field, path)];
  });
}

/** Not by the times in the Lease, which another clock wrote: a leader renews it while we look. */
async function leader({ kube, lease, clock = systemClock }: InstallCheckOptions, signal: AbortSignal): Promise<string> {
  const name = `${lease.namespace}/${lease.name}`;
  const read = async () => {
    const found = await kube.get(leases, lease, { signal });
    if (found === undefined) throw new NotSo(`no controller leads: there is no Lease ${name}`);
    const record = recordOf(found);
    if (record.holder === '') throw new NotSo(`no controller leads: nobody holds the Lease ${name}`);
    return record;
  };
  const before = await read();
  await sleep(2_500, { signal, clock });
  const { holder, renewTime } = await read();
  if (renewTime === before.renewTime)
    throw new NotSo(`no controller leads: the Lease ${name} was last renewed at ${renewTime}`);
  // Behind the pod's name stands a random part.
  return `the controller ${holder.split('_')[0]} leads: it renews the Lease ${name}`;
}

/** Without a Secret, so that everybody may write it. */
const withoutSecret = { ssm: { region: 'eu-west-1', target: { tags: { Role: 'bastion' } } } };
const withSecret = {
  ssh: { user: 'tunnel', bastions: [{ host: 'bastion.invalid' }], secretRef: { name: 'install-check' } },
};

/** A dry run. Throws what the API server says. */
async function tryOut(
  { kube, namespace, className }: InstallCheckOptions,
  signal: AbortSignal,
  driver: object,
): Promise<void> {
  const spec = { className, ports: [{ port: 5432, destinationHost: 'database.invalid' }], ...driver };
  const object = { apiVersion, kind, metadata: { generateName: 'install-check-', namespace }, spec };
  // The API server gives the name.
  await kube.create(portForwards, object as never, { signal, deadlineMs: requestMs, dryRun: true });
}

async function accepted(options: InstallCheckOptions, signal: AbortSignal): Promise<string> {
  await tryOut(options, signal, withoutSecret);
  return `a PortForward is accepted in the namespace ${options.namespace} (dry run)`;
}

async function refusedByRules(options: InstallCheckOptions, signal: AbortSignal): Promise<string> {
  const refusal = await tryOut(options, signal, { ...withoutSecret, ...withSecret }).catch((error: unknown) => error);
  if (refusal === undefined) throw new NotSo('a PortForward with two drivers is accepted: the definition has no rules');
  if (!isInvalid(refusal)) throw refusal;
  return 'one with two drivers is refused by the rules of the definition';
}

async function refusedByPolicy(options: InstallCheckOptions, signal: AbortSignal): Promise<string> {
  if (!options.judgesReferences)
    return 'who names a Secret is not asked for a right on it: admissionPolicies.references is off';
  const refusal = await tryOut(options, signal, withSecret).catch((error: unknown) => error);
  if (refusal === undefined)
    throw new NotSo(
      'a PortForward that names a Secret is accepted from an account that may not read it: no policy on references acts',
    );
  // Each install judges all PortForwards, and the API server names the policy that was first.
  const policy = refusingPolicy(refusal);
  if (policy?.endsWith('-references') !== true) throw refusal;
  return `one that names a Secret which its author may not read is refused by the policy ${policy}`;
}
