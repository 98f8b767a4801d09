// The form of a file: header, constants, waits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formFindings } from '../../../../scripts/checks/form.ts';

const found = (text: string, file = 'src/sidecar/a.ts'): string[] =>
  formFindings({ file, text }).map(({ line, message }) => `${line} ${message}`);

test('a file without a // header is named; a test may go without, but not with another kind', () => {
  assert.match(found('/** Role. */\n')[0] ?? '', /^1 the file has no \/\/ header: say in it what its role is/);
  assert.deepEqual(found('// Role.\n'), []);
  assert.deepEqual(found('#!/usr/bin/env node\n'), []);
  assert.deepEqual(found("import 'node:test';\n", 'test/unit/a.test.ts'), []);
  assert.equal(found('/** Role. */\n', 'test/unit/a.test.ts').length, 1);
});

test('a constant in capitals is named; a type in capitals is none', () => {
  const message = 'a constant in capitals: name it in camelCase';
  assert.deepEqual(found('//\nconst MAX_BYTES = 1;\nexport const A = 1;\n  static readonly MAX: number = 1;\n'), [
    `2 ${message}`,
    `3 ${message}`,
    `4 ${message}`,
  ]);
  assert.deepEqual(found('//\nconst maxBytes = 1;\nconst Schema = 1;\ntype URL = 1;\nif (x === MAX) {}\n'), []);
});

test('waits made by hand are named in the product, but not where they are made', () => {
  const text = "//\nAbortSignal.any([]);\nAbortSignal.timeout(1);\nsignal.addEventListener('abort', end);\n";
  assert.deepEqual(
    found(text).map((one) => one[0]),
    ['2', '3', '4'],
  );
  assert.match(found(text).join('\n'), /use deadline\(\) or anyOf\(\) of src\/process\//);
  assert.deepEqual(found(text, 'src/process/abort.ts'), []);
  assert.deepEqual(found("//\nserver.addEventListener('close', end);\nAbortSignal.abort();\n"), []);
});
