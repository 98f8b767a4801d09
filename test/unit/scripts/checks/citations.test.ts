// A cited promise must be one of the page's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { citationFindings, promiseNumbers } from '../../../../scripts/checks/citations.ts';

const promises = promiseNumbers('# Promises\n\n## Promise 1: bytes\ntext of promise 9\n## Promise 2: truth\n');

const found = (text: string): string[] =>
  citationFindings({ file: 'a.ts', text }, promises).map(({ line, message }) => `${line} ${message}`);

test('the promises are those that have a heading', () => {
  assert.deepEqual([...promises], [1, 2]);
});

test('a citation of a promise that exists passes, any other is named with its line', () => {
  assert.deepEqual(found('// promise 1, docs/promises.md\n// promises 1 and 2'), []);
  assert.deepEqual(found('// fine\n// Promise 11\n// promises 2 and 3'), [
    '2 promise 11 does not exist: cite one of docs/promises.md',
    '3 promise 3 does not exist: cite one of docs/promises.md',
  ]);
});

test('a page that is not in the repository must not be cited', () => {
  assert.match(found('// as DESIGN §2 says')[0] ?? '', /^1 a design page outside the repository is cited/);
  assert.deepEqual(found('const DESIGNS = 1; // design'), []);
});

test('the promises of this repository are ten', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/promises.md'), 'utf8');
  assert.deepEqual([...promiseNumbers(page)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});
