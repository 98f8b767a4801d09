// The corpus judged by a real API server and by `portforward check` side by side: same verdict, same field path, and for rules the
// same sentence.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kindSchema } from '../../../scripts/generate/crd.ts';
import { ruleSentences } from '../../../scripts/generate/structural.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { verdictOf } from '../../../src/contract/api/verdict.ts';
import { corpus } from '../../corpus/corpus.ts';
import { assertSome } from '../../support/assert-every.ts';
import { type Api, collection, startApi } from './api.ts';

const sentences = ruleSentences(kindSchema());

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api[Symbol.asyncDispose]());

for (const { name, document, text } of corpus('good')) {
  test(`good/${name} is accepted by the server, created or applied`, async () => {
    assert.deepEqual(await api.verdictOf(document), []);
    // Server-side apply knows no generateName, and takes null for a value.
    if (name === 'generate-name' || name === 'null-is-absent') return;
    const applied = await apply(text);
    assert.ok(applied.status === 200 || applied.status === 201, applied.body.message);
    assert.deepEqual(applied.warnings, []);
  });
}

const isOurs = (document: unknown): boolean =>
  typeof document === 'object' &&
  document !== null &&
  'kind' in document &&
  document.kind === kind &&
  'apiVersion' in document &&
  document.apiVersion === apiVersion;

for (const { name, document, text, refusedAt } of corpus('bad')) {
  if (!isOurs(document)) {
    test(`bad/${name} is nothing that the server knows`, async () => {
      const refused = api.server.kubectl(['create', '--dry-run=server', '-f', '-'], { input: text });
      await assert.rejects(refused, /no matches for kind/);
      assert.deepEqual(
        verdictOf(document).map(({ path }) => path),
        refusedAt,
      );
    });
    continue;
  }
  test(`bad/${name} is refused by both at ${refusedAt.join(' and ')}`, async () => {
    const theirs = await api.verdictOf(document);
    assert.deepEqual([...new Set(theirs.map(({ path }) => path))].toSorted(), refusedAt, JSON.stringify(theirs));
    // A rule's sentence is the end of the server's message; shape and form are told in the server's own words.
    const ours = verdictOf(document);
    for (const { path, message } of ours) {
      const isSame = theirs.some((issue) => issue.path === path && issue.message.endsWith(message));
      if (isSame) continue;
      const isShape = theirs.some((issue) => issue.path === path && !isSentenceOfOurs(issue.message));
      assert.ok(isShape, `${path}: ours: ${message}; theirs: ${JSON.stringify(theirs)}`);
    }
    for (const { path, message } of theirs) {
      if (!isSentenceOfOurs(message)) continue;
      assertSome(
        ours,
        (issue) => issue.path === path && message.endsWith(issue.message),
        `${path}: only the server says: ${message}`,
      );
    }
    const applied = await apply(text);
    // A document that does not fit the types is 500 here: the server's own choice for server-side apply.
    assert.ok(applied.status >= 400, `applied: ${applied.status}`);
  });
}

/** Server-side apply as kubectl and Argo CD do it, as a dry run. */
async function apply(text: string) {
  const path = `${collection}/${/^ {2}name: (\S+)$/m.exec(text)?.[1] ?? kind.toLowerCase()}`;
  const query = 'dryRun=All&fieldValidation=Strict&fieldManager=corpus&force=true';
  return await api.call('PATCH', `${path}?${query}`, text, 'application/apply-patch+yaml');
}

/** Whether the message comes from a rule, not from the schema. */
function isSentenceOfOurs(message: string): boolean {
  return sentences.some((sentence) => message.endsWith(sentence));
}
