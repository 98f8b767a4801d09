// The two judges of a document, the API server and `portforward check`, on documents by the schema: same verdict, in a place that both
// name, and at once. What both accept becomes objects, which the API server judges at once, too; one that it refuses (a resource that is no
// resource) would be the condition's InvalidSpec.
// Neighbours: by-schema.ts (the documents), ../fuzz.ts and test/integration/api/schema-fuzz.test.ts (who runs it).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'yaml';
import type { Structural } from '../../../scripts/generate/structural.ts';
import type { Issue } from '../../../src/contract/api/parse.ts';
import { verdictOf } from '../../../src/contract/api/verdict.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import { type ValidPortForward, validPortForward } from '../../../src/controller/base/portforward.ts';
import { readSettings, type TunnelSettings } from '../../../src/controller/base/settings.ts';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import type { Api } from '../../integration/api/api.ts';
import { documentsBySchema } from './by-schema.ts';

const crdFile = join(import.meta.dirname, '../../../crds/portforward.yaml');

/** Documents that are judged at the same time. */
const together = 8;

/** A document that takes longer is asked again: a busy machine is no fault of the document, and a costly document is slow each time. */
const slowMs = 1_000;
const moreTries = 20;

const { tunnel: standard } = readSettings(
  ['--tunnel-image=registry.example/portforward:test', '--operator-namespace=operator'],
  {},
);

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface FuzzResult {
  readonly accepted: number;
  readonly refused: number;
  /** Objects of accepted documents, and how many of them the API server refused. */
  readonly children: number;
  readonly refusedChildren: number;
  /** The longest that the API server took for a document or an object. */
  readonly slowestMs: number;
}

/** Judges `inputs` documents of `seed`. @throws AssertionError with the document at the first that fails */
export async function fuzzDocuments(
  api: Api,
  inputs: number,
  seed: number,
  onProgress: (done: number) => void = () => undefined,
): Promise<FuzzResult> {
  const crd = parse(readFileSync(crdFile, 'utf8')) as {
    spec: { versions: readonly { schema: { openAPIV3Schema: Structural } }[] };
  };
  const schema = crd.spec.versions[0]?.schema.openAPIV3Schema;
  assert.ok(schema !== undefined);
  const documents = documentsBySchema(schema);
  const result = { accepted: 0, refused: 0, children: 0, refusedChildren: 0, slowestMs: 0 };
  for (let done = 0; done < inputs; done += together) {
    const numRuns = Math.min(together, inputs - done);
    // A seed for each handful: a failure is repeated without those before it.
    const batch = fc.sample(documents, { numRuns, seed: (seed + done) % 2 ** 31 });
    await Promise.all(batch.map((document) => judge(api, document, result)));
    onProgress(done + numRuns);
  }
  return result;
}

async function judge(api: Api, document: unknown, result: Writable<FuzzResult>): Promise<void> {
  const { answer: theirs, ms } = await timed(document, () => api.verdictOf(document));
  result.slowestMs = Math.max(result.slowestMs, ms);
  const ours = verdictOf(document);
  assertAgreement(document, theirs, ours);
  if (ours.length > 0) {
    result.refused += 1;
    return;
  }
  result.accepted += 1;
  for (const child of childrenOf(document)) {
    const body = JSON.stringify(child);
    const { answer, ms: taken } = await timed(document, () => api.call('POST', `${pathOf(child)}?dryRun=All`, body));
    result.slowestMs = Math.max(result.slowestMs, taken);
    result.children += 1;
    if (answer.status === 422) result.refusedChildren += 1;
    else assert.equal(answer.status, 201, `${child.kind}: ${answer.body.message}\n${JSON.stringify(document)}`);
  }
}

/** What the API server answers, and how long it took. @throws AssertionError if that is a second and more each time */
async function timed<T>(
  document: unknown,
  ask: () => Promise<T>,
): Promise<{ readonly answer: T; readonly ms: number }> {
  for (let again = 0; ; again++) {
    const started = performance.now();
    const answer = await ask();
    const ms = performance.now() - started;
    if (ms < slowMs) return { answer, ms };
    assert.ok(again < moreTries, `the API server took ${ms.toFixed(0)} ms for\n${JSON.stringify(document)}`);
  }
}

/** Both accept a document, or both refuse it and name at least one place that is the same, or one inside the other. */
export function assertAgreement(document: unknown, theirs: readonly Issue[], ours: readonly Issue[]): void {
  const report = `\n${JSON.stringify(document)}\nserver: ${JSON.stringify(theirs)}\nzod: ${JSON.stringify(ours)}`;
  assert.equal(ours.length === 0, theirs.length === 0, report);
  if (theirs.length === 0) return;
  // Each judge stops somewhere: the server at unknown fields and wrong types, zod at the wrong type inside one object.
  const isNear = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);
  const common = ours.filter((issue) => theirs.some(({ path }) => isNear(path, issue.path)));
  assert.ok(common.length > 0, `no field path in common:${report}`);
}

/** The objects of an accepted document; none if even a generous operator refuses it. */
function childrenOf(document: unknown): readonly KubeObject[] {
  const stored = document as KubeObject;
  try {
    const metadata = { ...stored.metadata, namespace: 'default', uid: '00000000-0000-0000-0000-000000000000' };
    const valid = validPortForward({ ...stored, metadata });
    return Object.values(desiredChildren(valid, allowing(valid), false)).filter((child) => child !== undefined);
  } catch (error) {
    if (error instanceof TunnelError) return [];
    throw error;
  }
}

/** An operator whose administrator allows what the document asks for. */
function allowing({ spec: { pod, service } }: ValidPortForward): TunnelSettings {
  const annotations = [...Object.keys(pod?.annotations ?? {}), ...Object.keys(service.annotations ?? {})];
  return {
    ...standard,
    allowInsecureHostKeys: true,
    allowedServiceTypes: ['ClusterIP', 'NodePort', 'LoadBalancer'],
    allowedAnnotationPrefixes: annotations.map((key) => `${key.slice(0, Math.max(0, key.indexOf('/')))}/`),
    allowedLabels: [...Object.keys(pod?.labels ?? {}), ...Object.keys(service.labels ?? {})],
    allowedPriorityClasses: [pod?.priorityClassName ?? ''],
  };
}

function pathOf({ apiVersion, kind }: KubeObject): string {
  const plural = kind === 'NetworkPolicy' ? 'networkpolicies' : `${kind.toLowerCase()}s`;
  return `${apiVersion.includes('/') ? '/apis' : '/api'}/${apiVersion}/namespaces/default/${plural}`;
}
