// The table of gitops.md about Flux is what Flux's own libraries say of an object in each state.
// Neighbours: gitops.test.ts (Argo CD, whose test data these are), test/support/flux/ (the libraries).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { fluxVerdicts } from '../../support/flux/judge.ts';
import { readPage, root } from './markdown.ts';

const page = 'docs/gitops.md';
const testData = join(root, 'examples/argo-cd/resource_customizations/portforward.dev/PortForward/testdata');

interface Stored {
  readonly metadata: object;
  readonly status?: object;
}

const stored = (name: string): Stored => parse(readFileSync(join(testData, `${name}.yaml`), 'utf8')) as Stored;

/** What the API server makes of an object without a status: the default of the definition. */
function unseen(): Stored {
  const { spec } = parse(readFileSync(join(root, 'crds/portforward.yaml'), 'utf8')) as {
    spec: {
      versions: readonly [{ schema: { openAPIV3Schema: { properties: { status: { default: object } } } } }];
    };
  };
  return { ...stored('without-status'), status: spec.versions[0].schema.openAPIV3Schema.properties.status.default };
}

/** Each row of the table, with objects in that state. */
const states: Readonly<Record<string, readonly Stored[]>> = {
  'no operator has looked at it yet': [unseen(), stored('without-conditions')],
  'the operator has not seen the last change yet': [stored('changed-since')],
  'its pods are on their way': [stored('at-work')],
  'the pods do not answer': [stored('unreadable')],
  'the tunnel carries connections': [stored('ready')],
  'an outage, also a short one': [stored('outage')],
  '`Stalled`, such as credentials that the bastion refuses': [stored('stalled-though-suspended')],
  '`spec.suspend: true`': [stored('suspended')],
  '`replicas: 0`': [stored('scaled-to-zero')],
  'it is being deleted': [
    { ...stored('ready'), metadata: { ...stored('ready').metadata, deletionTimestamp: '2026-11-30T01:00:00Z' } },
  ],
};

/** State → the two verdicts, as the page has them. */
function tableOf(text: string): ReadonlyMap<string, readonly string[]> {
  const [, body = ''] = text.split('| State of the PortForward | kstatus | With the expressions |\n|---|---|---|\n');
  const [rows = ''] = body.split('\n\n');
  return new Map(
    rows.split('\n').map((row) => {
      const [state = '', ...verdicts] = row.slice(2, -2).split(' | ');
      return [state, verdicts];
    }),
  );
}

test('Flux judges an object in each state as the table of gitops.md says', async () => {
  const [expressions] = readPage(page).blocks.flatMap(({ text }) =>
    text.startsWith('healthCheckExprs:') ? (parse(text) as { healthCheckExprs: object[] }).healthCheckExprs : [],
  );
  assert.ok(expressions);
  const table = tableOf(readFileSync(join(root, page), 'utf8'));
  assert.deepEqual([...table.keys()], Object.keys(states));
  for (const [state, objects] of Object.entries(states)) {
    const [kstatus, expressed] = table.get(state) ?? [];
    for (const verdict of await fluxVerdicts(objects, expressions)) {
      assert.equal(verdict.kstatus, kstatus, state);
      if (expressed !== '–') assert.equal(verdict.expressions, expressed, state);
    }
  }
});
