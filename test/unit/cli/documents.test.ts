import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseDocuments, readDocuments } from '../../../src/cli/documents.ts';

const values = (text: string): unknown[] => parseDocuments('f.yaml', text).documents.map(({ value }) => value);

test('a file holds several documents; empty ones and comments do not count', () => {
  assert.deepEqual(values('a: 1\n---\n---\n# nothing\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }]);
  assert.deepEqual(values(''), []);
});

test('YAML is read as kubectl reads it: 1.1 words for true and false, octal numbers, texts for times', () => {
  assert.deepEqual(values('a: on\nb: No\nc: y\nd: 0777\ne: 12:30:45\nf: 2026-11-22\ng: 0o17\nh: "on"'), [
    { a: true, b: false, c: true, d: 511, e: '12:30:45', f: '2026-11-22', g: 15, h: 'on' },
  ]);
});

test('anchors and merge keys are resolved, and an alias without its anchor is a complaint', () => {
  assert.deepEqual(values('base: &b {x: 1}\nall: {<<: *b, z: 2}\n'), [{ base: { x: 1 }, all: { x: 1, z: 2 } }]);
  assert.equal(parseDocuments('f.yaml', 'a: *nowhere\n').complaints.length, 1);
});

test('JSON is YAML', () => {
  assert.deepEqual(values('{"a": [1, {"b": null}]}'), [{ a: [1, { b: null }] }]);
});

test('a List is unfolded, with the places of its items', () => {
  const { documents } = parseDocuments('f.yaml', 'apiVersion: v1\nkind: List\nitems:\n- a: 1\n- b:\n    c: 2\n');
  assert.deepEqual(
    documents.map(({ value }) => value),
    [{ a: 1 }, { b: { c: 2 } }],
  );
  assert.deepEqual(documents[1]?.placeOf(['b', 'c']), { line: 6, column: 8 });
});

test('a field has its line and column; a missing field has those of the nearest field around it', () => {
  const [document] = parseDocuments('f.yaml', 'spec:\n  ports:\n  - port: 5432\n    name: db\n').documents;
  assert.deepEqual(document?.placeOf(['spec', 'ports', 0, 'name']), { line: 4, column: 11 });
  assert.deepEqual(document?.placeOf(['spec', 'ports', 0, 'missing']), { line: 3, column: 5 });
  assert.deepEqual(document?.placeOf(['nothing']), { line: 1, column: 1 });
});

test('a part that is not YAML is reported with its place, and the documents around it are still read', () => {
  const { documents, complaints } = parseDocuments('f.yaml', 'a: 1\n---\nb: [1\n---\nc: 3\n');
  assert.deepEqual(
    documents.map(({ value }) => value),
    [{ a: 1 }, { c: 3 }],
  );
  assert.equal(complaints.length, 1);
  assert.match(complaints[0]?.message ?? '', /is not YAML/);
  assert.equal(parseDocuments('f.yaml', 'a: 1\na: 2\n').complaints.length, 1);
});

test('an alias bomb is refused, not expanded', () => {
  const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++)
    rows.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  const { complaints } = parseDocuments('f.yaml', rows.join('\n'));
  assert.equal(complaints.length, 1);
});

test('a directory gives its YAML and JSON files in order of their names', () => {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-documents-'));
  try {
    for (const name of ['b.yml', 'a.yaml', 'c.json', 'd.txt'])
      writeFileSync(join(directory, name), `{"from": "${name}"}`);
    mkdirSync(join(directory, 'deeper'));
    const { documents } = readDocuments([directory]);
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ from: 'a.yaml' }, { from: 'b.yml' }, { from: 'c.json' }],
    );
    assert.throws(() => readDocuments([join(directory, 'nowhere')]), /cannot read .*nowhere: there is no such file/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
