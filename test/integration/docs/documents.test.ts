// The API server accepts every document that a page shows: every YAML block is YAML, every PortForward in one is valid.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseDocuments } from '../../../src/cli/documents.ts';
import { isPortForward, verdictOf } from '../../../src/contract/api/verdict.ts';
import { allPages } from './markdown.ts';

const blocks = allPages()
  .flatMap(({ blocks: all }) => all)
  .filter(({ language }) => language === 'yaml' || language === 'yml');

suite('documents', () => {
  test('every YAML block can be read', () => {
    const complaints = blocks.flatMap(({ page, line, text }) =>
      parseDocuments(page, text).complaints.map((each) => `${page}:${line + each.line}: ${each.message}`),
    );
    assert.deepEqual(complaints, []);
  });

  test('every PortForward that a page shows is valid', () => {
    const shown = blocks.flatMap(({ page, line, text }) =>
      parseDocuments(page, text)
        .documents.filter(({ value }) => isPortForward(value))
        .map(({ value }) => ({ place: `${page}:${line}`, issues: verdictOf(value) })),
    );
    assert.ok(shown.length > 0, 'no page shows a PortForward');
    assert.deepEqual(
      shown.flatMap(({ place, issues }) => issues.map(({ path, message }) => `${place}: ${path}: ${message}`)),
      [],
    );
  });
});
