// The corpus judged by zod. The same files are judged by a real API server in test/integration/api.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindSchema } from '../../../../scripts/generate/crd.ts';
import { ruleSentences, type Structural } from '../../../../scripts/generate/structural.ts';
import { verdictOf } from '../../../../src/contract/api/verdict.ts';
import { corpus } from '../../../corpus/corpus.ts';

for (const { name, document } of corpus('good')) {
  test(`good/${name} is accepted`, () => {
    assert.deepEqual(verdictOf(document), []);
  });
}

for (const { name, document, refusedAt } of corpus('bad')) {
  test(`bad/${name} is refused at ${refusedAt.join(' and ')}`, () => {
    const issues = verdictOf(document);
    assert.deepEqual([...new Set(issues.map(({ path }) => path))].toSorted(), refusedAt);
    for (const { message } of issues) assert.match(message, /^\S.*[^.\s]$/, 'a sentence without full stop');
  });
}

test('the good documents use every field of the schema', () => {
  const used = new Set(corpus('good').flatMap(({ document }) => fieldsOf(document, '')));
  const missing = fieldsOfSchema(kindSchema(), '').filter((field) => !used.has(field));
  assert.deepEqual(missing, []);
});

test('the bad documents break every rule of the schema', () => {
  const said = new Set(corpus('bad').flatMap(({ document }) => verdictOf(document).map(({ message }) => message)));
  const silent = ruleSentences(kindSchema()).filter((message) => !said.has(message));
  // The stated exception: it compares with the stored object.
  assert.deepEqual(silent, ['className is immutable: delete the PortForward and create it again with the other class']);
});

function fieldsOf(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [`${path}.${key}`, ...fieldsOf(item, `${path}.${key}`)]);
}

function fieldsOfSchema(node: Structural, path: string): string[] {
  if (node.items !== undefined) return fieldsOfSchema(node.items, `${path}[]`);
  return Object.entries(node.properties ?? {}).flatMap(([key, property]) => [
    `${path}.${key}`,
    ...fieldsOfSchema(property, `${path}.${key}`),
  ]);
}
