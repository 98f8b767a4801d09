import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { corpus } from '../../corpus/corpus.ts';
import { assertEvery } from '../../support/assert-every.ts';

const root = join(import.meta.dirname, '..', '..', '..');

/** The command as people start it. */
function iam(args: readonly string[], input = ''): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [join(root, 'src/main.ts'), 'iam', ...args], { input, encoding: 'utf8' });
}

interface Entry {
  readonly name: string;
  readonly policy: { readonly Version: string; readonly Statement: readonly { readonly Action: readonly string[] }[] };
}

test('every document of the corpus with ssm gets its policies, in one go', () => {
  const { status, stdout, stderr } = iam(['-f', join(root, 'test/corpus/good'), '--output', 'json']);
  assert.equal(status, 0, stderr);
  const entries = JSON.parse(stdout) as Entry[];
  const ours = corpus('good').filter(({ document }) => Object.hasOwn((document as { spec: object }).spec, 'ssm'));
  assert.ok(ours.length >= 5);
  assert.ok(entries.length >= ours.length);
  assert.equal(stderr.match(/skipped, it has no spec\.ssm/g)?.length, corpus('good').length - ours.length);
  for (const { policy } of entries) {
    assert.equal(policy.Version, '2012-10-17');
    for (const { Action } of policy.Statement)
      assertEvery(Action, (each) => /^[a-z]+:[A-Z][A-Za-z]+$/.test(each), 'an action of one service');
  }
});

test('a document with fly gets the command that makes its token', () => {
  const text = corpus('good').find(({ name }) => name === 'minimal-fly')?.text ?? '';
  const { status, stderr } = iam(['-f', '-'], text);
  assert.equal(status, 1);
  const command = /; its token: (.+)/.exec(stderr)?.[1];
  assert.equal(
    command,
    'kubectl create secret generic fly --from-literal=FLY_API_TOKEN="$(fly tokens create deploy --app orders-db)"',
  );
});

test('standard input is a file too, and standard output holds only the policy', () => {
  const text = corpus('good').find(({ name }) => name === 'minimal-ssm')?.text ?? '';
  const { status, stdout } = iam(['-f', '-', '--account', '123456789012'], text);
  assert.equal(status, 0);
  assert.match(JSON.stringify(JSON.parse(stdout)), /arn:aws:ec2:eu-west-1:123456789012:instance\/i-0123456789abcdef0/);
});

test('every bad document with ssm is refused with the sentences of check and exit code 1', () => {
  const bad = corpus('bad').filter(({ text }) => /^kind: PortForward$/m.test(text) && /^ {2}ssm:/m.test(text));
  assert.ok(bad.length >= 5, `only ${bad.length} documents were found`);
  const files = bad.flatMap(({ name }) => ['-f', join(root, 'test/corpus/bad', `${name}.yaml`)]);
  const { status, stdout, stderr } = iam([...files, '--output', 'json']);
  assert.equal(status, 1);
  assert.deepEqual(JSON.parse(stdout), []);
  const check = spawnSync(process.execPath, [join(root, 'src/main.ts'), 'check', ...files], { encoding: 'utf8' });
  const told = stderr
    .trim()
    .split('\n')
    .map((line) => line.replace(/^portforward: /, ''));
  assert.deepEqual(told.slice(0, -1), check.stdout.trim().split('\n'));
});

test('a wrong call ends with 2 and the fix', () => {
  const { status, stderr } = iam(['-f', join(root, 'test/corpus/good/minimal-ssm.yaml'), '--trust']);
  assert.equal(status, 2);
  assert.equal(stderr, 'portforward: a trust policy names the namespace: add --namespace\n');
});
