// Words that stop a reader are found wherever they stand, each with a better one; words that only contain them are left alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordFindings } from '../../../../scripts/checks/words.ts';

const found = (text: string): string[] =>
  wordFindings({ file: 'a.ts', text }).map(({ line, message }) => `${line} ${message}`);

test('a word or phrase is named with its line and a better one', () => {
  assert.deepEqual(found("// 30 s unless told.\nlog('it shall be mended');"), [
    '1 "unless told" is not plain English: write "Default: …"',
    '2 "shall" is not plain English: write "must" or "will"',
    '2 "mended" is not plain English: write "fix", "repair" or "remedy"',
  ]);
});

test('a phrase that a line break parts is found in each kind of comment', () => {
  const message = '1 "is to be" is not plain English: write "must be"';
  for (const text of ['// it is\n// to be so', '/**\n * it is\n * to be so\n */', '# it is\n# to be so']) {
    assert.equal(found(text)[0]?.slice(2), message.slice(2), text);
    assert.equal(found(text).length, 1, text);
  }
});

test('a capital is no escape, and a longer word that holds a listed one is none of it', () => {
  assert.equal(found('Whence it came.').length, 1);
  assert.deepEqual(found('amendment, marshall, recommended, be-it, Default: forever'), []);
});
