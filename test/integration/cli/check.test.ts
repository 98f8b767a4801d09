import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startApiServer } from '../../../lab/cluster/api-server.ts';
import { parseDocuments } from '../../../src/cli/documents.ts';
import { corpus } from '../../corpus/corpus.ts';

const root = join(import.meta.dirname, '..', '..', '..');

interface Verdict {
  readonly file: string;
  readonly name: string;
  readonly valid: boolean;
  readonly issues: readonly { readonly path: string; readonly line: number; readonly message: string }[];
}

/** The verdicts of `portforward check --output json`, and its exit code. */
function check(args: readonly string[]): { readonly code: number | null; readonly verdicts: readonly Verdict[] } {
  const words = [join(root, 'src/main.ts'), 'check', '--output', 'json', ...args];
  const { status, stdout } = spawnSync(process.execPath, words, { encoding: 'utf8', maxBuffer: 16 << 20 });
  return { code: status, verdicts: JSON.parse(stdout) as Verdict[] };
}

test('the command takes every good document of the corpus and ends with 0', () => {
  const { code, verdicts } = check(['-f', join(root, 'test/corpus/good')]);
  assert.deepEqual(
    verdicts.filter(({ valid }) => !valid),
    [],
  );
  assert.equal(verdicts.length, corpus('good').length);
  assert.equal(code, 0);
});

test('it refuses every bad one with 1, at the same fields as the API server', async () => {
  const bad = corpus('bad').filter(({ text }) => /^kind: PortForward$/m.test(text));
  const files = bad.flatMap(({ name }) => ['-f', join(root, 'test/corpus/bad', `${name}.yaml`)]);
  const { code, verdicts } = check(files);
  assert.equal(code, 1);
  for (const { name, refusedAt } of bad) {
    const verdict = verdicts.find(({ file }) => file.endsWith(`/bad/${name}.yaml`));
    assert.equal(verdict?.valid, false, name);
    const paths = [...new Set(verdict?.issues.map(({ path }) => path))].toSorted();
    assert.deepEqual(paths, refusedAt, name);
  }
});

test('the line of a complaint is the line of its field', () => {
  const file = join(root, 'test/corpus/bad/port-zero.yaml');
  const { verdicts } = check(['-f', file]);
  const at = verdicts[0]?.issues[0]?.line ?? 0;
  assert.match(readFileSync(file, 'utf8').split('\n')[at - 1] ?? '', /port: 0/);
});

test('a file is read as kubectl reads it, including the odd corners of YAML', async () => {
  const odd = `apiVersion: portforward.dev/v1alpha1
kind: PortForward
metadata: { name: odd }
spec:
  words: [on, Off, yes, NO, y, n, true, "on", 'yes', null, ~]
  numbers: [0777, 0o17, 0x1F, 1_000, +7, -0o17, 1e3, .5, 12:30:45, 1.5.2]
  times: [2026-11-22, 2026-11-22T12:00:00Z]
  text: |
    two
    lines
  folded: >-
    one
    line
  base: &base { a: 1, b: 2 }
  merged: { <<: *base, b: 3 }
  empty:
  "quoted key": 1
`;
  const server = await startApiServer();
  try {
    await server.kubectl(['apply', '--server-side', '-f', join(root, 'crds/portforward.yaml')]);
    await server.untilServed('portforwards.portforward.dev');
    const read = await server.kubectl(
      ['create', '--dry-run=client', '--validate=false', '--output', 'json', '-f', '-'],
      { input: odd },
    );
    const theirs = (JSON.parse(read) as { spec: unknown }).spec;
    const [document] = parseDocuments('odd.yaml', odd).documents;
    const ours = (document?.value as { spec: unknown } | undefined)?.spec;
    assert.deepEqual(ours, theirs);
  } finally {
    await server.stop();
  }
});

test('standard input is a file too', () => {
  const [good] = corpus('good');
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'src/main.ts'), 'check', '-f', '-'], {
    input: good?.text ?? '',
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^-:\d+: .*valid$/m);
});
