// Documents that nobody thought of: good ones of the corpus with one to three random mistakes, judged by the API server and by zod.
// `PF_FUZZ_RUNS=5000` makes it longer, `PF_FUZZ_SEED` repeats a failure.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { verdictOf } from '../../../src/contract/api/verdict.ts';
import { corpus } from '../../corpus/corpus.ts';
import { assertAgreement } from '../../fuzz/documents/judges.ts';
import { type Api, startApi } from './api.ts';

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api[Symbol.asyncDispose]());

const runs = Number(process.env['PF_FUZZ_RUNS'] ?? 400);
const seed = Number(process.env['PF_FUZZ_SEED'] ?? 20261122);

test('the API server and zod give the same verdict on documents with random mistakes', async () => {
  await fc.assert(
    fc.asyncProperty(document, async (each) => {
      const theirs = await api.verdictOf(each);
      const ours = verdictOf(each);
      assertAgreement(each, theirs, ours);
    }),
    { numRuns: runs, seed, interruptAfterTimeLimit: 300_000, markInterruptAsFailure: true },
  );
});

test('the API server and zod read the same address ranges', async () => {
  const lengths = ['/0', '/8', '/32', '/33', '/64', '/128', '/129', '/08', '/-1', '/', ''];
  for (const range of addresses.flatMap((address) => lengths.map((length) => `${address}${length}`))) {
    const each = withRange(range);
    assert.equal(verdictOf(each).length, (await api.verdictOf(each)).length, range);
  }
});

test('the API server and zod agree on which range lies inside another', async () => {
  const ranges = [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.1.2.3/8',
    '10.1.0.0/16',
    '11.0.0.0/8',
    '::/0',
    'fd00::/8',
    'fd12::/16',
  ];
  for (const outer of ranges) {
    for (const inner of ranges) {
      const each = withRange(outer, [inner]);
      assert.equal(verdictOf(each).length, (await api.verdictOf(each)).length, `${inner} in ${outer}`);
    }
  }
});

const addresses = [
  '10.0.0.0',
  '10.0.0',
  '10.0.0.256',
  '010.0.0.0',
  '1.2.3.4.5',
  '::',
  '::1',
  '1::',
  'fd00::',
  'FD00::1',
  '1:2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7::',
  '::2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7:8:9',
  '1::2::3',
  ':1',
  '1:',
  ':::',
  '12345::',
  'g::',
  '::1.2.3.4',
  '1:2:3:4:5:6:1.2.3.4',
  '::ffff:1.2.3.4',
  '::ffff:0:0',
  '1.2.3.4::',
  'fe80::1%eth0',
  '[::1]',
  ' ::1',
  'localhost',
  '',
];

const withRange = (cidr: string, except?: readonly string[]) => ({
  apiVersion: 'portforward.dev/v1alpha1',
  kind: 'PortForward',
  metadata: { name: 'ranges' },
  spec: {
    ports: [{ port: 1 }],
    fly: { app: 'a', secretRef: { name: 'a' } },
    access: { from: [{ ipBlock: { cidr, ...(except === undefined ? {} : { except }) } }] },
  },
});

type Key = string | number;
type Change = (parent: Record<Key, unknown>, key: Key) => void;

/** Values that are near to what fields take, or that judges are known to see differently. */
const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  2,
  1.5,
  22,
  65_535,
  65_536,
  2_147_483_648,
  1e21,
  '',
  'a',
  'A',
  '-a',
  'a-',
  'a--b',
  'a b',
  'a\n',
  '\u00e9',
  '\u{1f600}',
  'p1',
  'p5432',
  'p05432',
  'a.b',
  'a:1',
  '::1',
  '[::1]',
  'a@b',
  'ssh://a',
  '10.0.0.0/8',
  '10.0.0.0/33',
  '010.0.0.0/8',
  'fd00::/8',
  '::ffff:1.2.3.4/96',
  '1',
  '1m',
  '1.',
  '.5',
  '1e3',
  '1E3',
  '-1',
  '+1',
  'Off',
  'Exists',
  'In',
  'x'.repeat(15),
  'x'.repeat(16),
  'x'.repeat(63),
  'x'.repeat(64),
  'x'.repeat(253),
  'x'.repeat(254),
  '/a',
  [],
  [1],
  ['a'],
  ['a', 'a'],
  {},
  { a: 'b' },
  { a: 1 },
  { 'a/b': 'c' },
  { '': 'a' },
  { name: 'a' },
  { 'k8s.io/a': 'b' },
  { 'xk8s.io/a': 'b' },
  { 'a.k8s.io/b': 'c' },
  { __proto__: null, constructor: 'a' },
  [{}],
  [null],
  [{ port: 1 }, { port: 1 }],
];

const changes: readonly ((value: unknown) => Change)[] = [
  () => (parent, key) => {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  },
  (value) => (parent, key) => {
    parent[key] = structuredClone(value);
  },
  (value) => (parent, key) => {
    parent[key] = structuredClone(value);
  },
  (value) => (parent, key) => {
    if (Array.isArray(parent)) parent.push(structuredClone(parent[Number(key)]));
    else parent[`${key}x`] = structuredClone(value);
  },
  () => (parent, key) => {
    const text = parent[key];
    if (typeof text === 'string') parent[key] = `${text}${text}`;
    else if (typeof text === 'number') parent[key] = text * 10;
    else parent[key] = [text];
  },
];

const good = corpus('good').filter(({ name }) => name !== 'known-hosts-64k' && name !== 'sixty-four-ports');

const document: fc.Arbitrary<unknown> = fc
  .tuple(
    fc.constantFrom(...good),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(...changes), fc.constantFrom(...values)), {
      minLength: 1,
      maxLength: 3,
    }),
  )
  .map(([{ document: original }, mistakes]) => {
    const copy = structuredClone(original) as { spec: unknown };
    for (const [where, change, value] of mistakes) {
      const spots = spotsOf(copy.spec);
      const spot = spots[where % Math.max(1, spots.length)];
      if (spot !== undefined) change(value)(spot.parent, spot.key);
    }
    return copy;
  });

function spotsOf(value: unknown): { parent: Record<Key, unknown>; key: Key }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [
    { parent: value as Record<Key, unknown>, key: Array.isArray(value) ? Number(key) : key },
    ...spotsOf(item),
  ]);
}
