// Members of exported interfaces and classes that nothing reads are named, in whatever way the others are read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberFindings } from '../../../../scripts/checks/members.ts';

const owner = {
  file: 'src/owner.ts',
  text: `export interface Options {
  readonly dotted: number;
  readonly taken?: number;
  'quoted-name': number;
  dead: string;
}

export class Pool<T> {
  #inner = 1;
  constructor(size: number) {}
  get size(): number {
    return 1;
  }
  async close(): Promise<void> {
    this.step();
  }
  step(): void {}
  private hidden = 2;
  override toString(): string {
    return '';
  }
}

interface Private {
  nobody: number;
}
`,
};

const reader = {
  file: 'src/reader.ts',
  text: `const { taken = 1 } = options;
pool.close(options?.dotted);
const built = { dead: 'written, not read', size: 3 };
`,
};

test('a member that is only declared or written is named; dotted, optional and destructured reads count', () => {
  const found = memberFindings([owner, reader], {});
  assert.deepEqual(
    found.map(({ file, line, message }) => `${file}:${line} ${message.split(':')[0]}`),
    ['src/owner.ts:5 nothing in src/ reads Options.dead', 'src/owner.ts:11 nothing in src/ reads Pool.size'],
  );
  assert.match(
    found[0]?.message ?? '',
    /delete it, or add it with its reader to scripts\/checks\/member-exceptions\.ts$/,
  );
});

test('a parameter that takes a member out of its argument reads it', () => {
  const text = 'const use = ({ dead }: Options, rows) => { for (const { size } of rows) use(size); };\n';
  assert.deepEqual(memberFindings([owner, reader, { file: 'src/more.ts', text }], {}), []);
});

test('an exception with its reader passes, and the row of a member that is gone is named', () => {
  const found = memberFindings([owner, reader], {
    'Options.dead': 'the far side',
    'Pool.size': 'a page',
    'Pool.close': 'read in src/ as well',
    'Pool.open': 'deleted',
  });
  assert.deepEqual(
    found.map(({ message }) => message),
    ['Pool.open does not exist any more: delete its row'],
  );
});
