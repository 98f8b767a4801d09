import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ResponseTooLarge } from '../../../../../src/controller/kube/base/api-error.ts';
import { eventOutline, type Outline, withoutManagedFields } from '../../../../../src/controller/kube/base/outline.ts';
import { JsonSieve } from '../../../../../src/controller/kube/rest/json-sieve.ts';

const limits = { what: 'the document', maxBytes: 1 << 20 };

function sieved(text: string, outline: Outline, chunkBytes = 7): string {
  const sieve = new JsonSieve(outline, limits);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) sieve.push(bytes.subarray(at, at + chunkBytes));
  return sieve.take();
}

/** What an outline keeps, said with objects. */
function kept(value: unknown, outline: Outline): unknown {
  if (typeof outline === 'boolean' || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => kept(entry, outline));
  const members = Object.entries(value).map(([name, member]) => {
    const inner = (Object.hasOwn(outline, name) ? outline[name] : outline['*']) ?? false;
    return inner === false ? [] : [[name, kept(member, inner)]];
  });
  return Object.fromEntries(members.flat() as [string, unknown][]);
}

/** Few names, so that outlines and documents meet. */
const names = fc.constantFrom('a', 'b', 'metadata', '*', '', 'toString', '__proto__', 'é', 'q"\\');
const outlines = fc.letrec<{ outline: Outline }>((tie) => ({
  outline: fc.oneof({ maxDepth: 3 }, fc.boolean(), fc.dictionary(names, tie('outline'))),
})).outline;
const documents = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(fc.string({ unit: 'binary' }), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(names, tie('value'), { maxKeys: 5 }),
  ),
})).value;
/** No name of a document that has escapes or is beyond ASCII is in an outline. */
const plain = (outline: Outline): boolean =>
  typeof outline === 'boolean' ||
  Object.entries(outline).every(([name, inner]) => name !== 'é' && name !== 'q"\\' && plain(inner));

test('what is kept is what the outline names, wherever the bytes are cut and however they are laid out', () => {
  fc.assert(
    fc.property(
      documents,
      outlines.filter(plain).filter((outline) => outline !== false),
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom('', ' ', '\t'),
      (document, outline, chunkBytes, indent) => {
        const text = JSON.stringify(document, undefined, indent);
        assert.deepEqual(JSON.parse(sieved(text, outline, chunkBytes)), kept(JSON.parse(text), outline));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('one document follows the other, after a broken one too', () => {
  const sieve = new JsonSieve({ a: true }, limits);
  const take = (text: string): string => {
    sieve.push(Buffer.from(text));
    return sieve.take();
  };
  assert.equal(take('{"a":1,"b":[2]}'), '{"a":1}');
  assert.throws(() => JSON.parse(take('{"b":{"c":"')), SyntaxError);
  assert.equal(take('{"b":1,"a":"x"}\n'), '{"a":"x"}');
});

test('what is dropped counts nowhere, what is kept meets the limit', () => {
  const sieve = new JsonSieve(withoutManagedFields, { what: 'the document', maxBytes: 100 });
  sieve.push(Buffer.from('{"metadata":{"managedFields":["'));
  for (let index = 0; index < 100; index++) sieve.push(Buffer.from('x'.repeat(1_000)));
  sieve.push(Buffer.from('"],"name":"a"}}'));
  assert.equal(sieve.take(), '{"metadata":{"name":"a"}}');
  assert.throws(
    () => sieve.push(Buffer.from(`{"spec":"${'x'.repeat(100)}"}`)),
    (error) =>
      error instanceof ResponseTooLarge && error.message === 'the document: the response is larger than 100 bytes',
  );
});

test('an event keeps its type, what its object’s outline names, and whether the initial events end', () => {
  const end = { 'k8s.io/initial-events-end': 'true' };
  const text = JSON.stringify({
    type: 'BOOKMARK',
    other: 1,
    object: { kind: 'Pod', metadata: { name: 'a', labels: { b: 'c' }, annotations: { d: 'e', ...end } } },
  });
  for (const [outline, object] of [
    [{ metadata: { name: true } }, { metadata: { name: 'a', annotations: end } }],
    [{ metadata: { annotations: { d: true } } }, { metadata: { annotations: { d: 'e', ...end } } }],
    [true, { kind: 'Pod', metadata: { name: 'a', labels: { b: 'c' }, annotations: { d: 'e', ...end } } }],
  ] as const) {
    assert.deepEqual(JSON.parse(sieved(text, eventOutline(outline))), { type: 'BOOKMARK', object });
  }
});
