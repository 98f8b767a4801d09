// Two files may not export a type of the same name; what is private, or only handed on, does not count.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { typeNameFindings } from '../../../../scripts/checks/type-names.ts';

test('the second owner of a name is named, with the first', () => {
  const found = typeNameFindings([
    { file: 'src/a.ts', text: 'export interface Lane {}\nexport type Code = 1;\n' },
    { file: 'src/b.ts', text: '\nexport abstract class Lane {}\ninterface Code {}\n' },
    { file: 'src/c.ts', text: "export type { Code } from './a.ts';\nexport const Code = 1;\n" },
  ]);
  assert.deepEqual(found, [
    { file: 'src/b.ts', line: 2, message: 'the type Lane is also exported by src/a.ts: rename one, or share it' },
  ]);
});

test('a type and its companion in one file are one owner', () => {
  assert.deepEqual(
    typeNameFindings([{ file: 'src/a.ts', text: 'export type Shape = 1;\nexport class Shape {}\n' }]),
    [],
  );
});
