import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { check, segmentsOf } from '../../../src/cli/check.ts';

let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'portforward-check-'));
});

after(() => rmSync(directory, { recursive: true }));

const good = `apiVersion: portforward.dev/v1alpha1
kind: PortForward
metadata: { name: orders-db, namespace: shop }
spec:
  ports:
  - port: 5432
  ssh: { user: tunnel, bastions: [{ host: bastion.example.com }], secretRef: { name: orders-bastion } }
`;

function run(text: string, output: 'text' | 'json' = 'text') {
  const file = join(directory, 'pf.yaml');
  writeFileSync(file, text);
  const lines: string[] = [];
  const valid = check({ files: [file], output, print: (line) => lines.push(line) });
  return { valid, lines: lines.map((line) => line.replaceAll(file, 'pf.yaml')) };
}

test('a good document is called valid, and documents of other kinds are ignored', () => {
  const { valid, lines } = run(`apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n---\n${good}`);
  assert.ok(valid);
  assert.deepEqual(lines, ['pf.yaml:5: shop/orders-db: valid']);
});

test('every complaint begins with file, line and column, names the field and comes in the order of the file', () => {
  const bad = good.replace('port: 5432', 'port: 70000\n    protocol: tcp').replace('user: tunnel', 'user: 7');
  const { valid, lines } = run(bad);
  assert.ok(!valid);
  assert.deepEqual(
    lines.map((line) => line.split(': ').slice(0, 3).join(': ')),
    [
      'pf.yaml:6:11: shop/orders-db: spec.ports[0].port',
      'pf.yaml:7:15: shop/orders-db: spec.ports[0].protocol',
      'pf.yaml:8:16: shop/orders-db: spec.ssh.user',
    ],
  );
});

test('lines of knownHosts that nothing can match are warned of, and the document stays valid', () => {
  const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIJ8v7Zx1k0b8m5rZJ8v7Zx1k0b8m5rZJ8v7Zx1k0b8m5';
  const lines = `bastion.example.com ssh-ed25519 ${key}\\nb.example.com ssh-rsa ${key}`;
  const text = good.replace('user: tunnel', `user: tunnel, knownHosts: "${lines}"`);
  const { valid, lines: said } = run(text);
  assert.ok(valid);
  assert.deepEqual(said, [
    'pf.yaml:1: shop/orders-db: valid',
    'pf.yaml:7:36: shop/orders-db: spec.ssh.knownHosts: warning: line 2 is skipped: its key is cut off or not of the type that stands before it',
  ]);
  const [verdict] = JSON.parse(run(text, 'json').lines.join('')) as [{ warnings: readonly object[] }];
  assert.equal(verdict.warnings.length, 1);
});

test('one bad document among good ones is enough to fail', () => {
  const { valid, lines } = run(`${good}---\n${good.replace('port: 5432', 'port: 0')}`);
  assert.ok(!valid);
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? '', /valid$/);
});

test('a file without a PortForward and one that is not YAML do not pass', () => {
  assert.deepEqual(run('apiVersion: v1\nkind: ConfigMap\n'), {
    valid: false,
    lines: ['no PortForward in pf.yaml (1 other documents)'],
  });
  const { valid, lines } = run('a: [1\n');
  assert.ok(!valid);
  assert.match(lines[0] ?? '', /^pf\.yaml:\d+:\d+: is not YAML/);
});

test('another version of our kind is refused with the version that is known', () => {
  const { valid, lines } = run(good.replace('v1alpha1', 'v2'));
  assert.ok(!valid);
  assert.match(lines[0] ?? '', /apiVersion: must be portforward\.dev\/v1alpha1/);
});

test('JSON output has one entry per document, with places as numbers', () => {
  const { valid, lines } = run(`${good}---\n${good.replace('port: 5432', 'port: 0')}`, 'json');
  assert.ok(!valid);
  const verdicts = JSON.parse(lines.join('\n')) as {
    file: string;
    line: number;
    name: string;
    valid: boolean;
    issues: object[];
  }[];
  assert.deepEqual(
    verdicts.map(({ line, name, valid: each }) => [line, name, each]),
    [
      [1, 'shop/orders-db', true],
      [9, 'shop/orders-db', false],
    ],
  );
  assert.deepEqual(verdicts[1]?.issues, [
    { line: 14, column: 11, path: 'spec.ports[0].port', message: 'must be at least 1' },
  ]);
});

test('a field path becomes its segments, also with keys in brackets', () => {
  assert.deepEqual(segmentsOf('spec.ports[1].port'), ['spec', 'ports', 1, 'port']);
  assert.deepEqual(segmentsOf('spec.pod.labels[example.com/team]'), ['spec', 'pod', 'labels', 'example.com/team']);
  assert.deepEqual(segmentsOf(''), []);
});
