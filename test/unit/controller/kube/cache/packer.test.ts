import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Packer } from '../../../../../src/controller/kube/cache/packer.ts';

/** Like a Deployment: long, and different from its siblings in a few places. */
const sibling = (index: number) => ({
  metadata: { name: `orders-db-${index}`, uid: `11111111-2222-3333-4444-${String(index).padStart(12, '0')}` },
  spec: Object.fromEntries(Array.from({ length: 100 }, (_, field) => [`field${field}`, { value: field ** 3 }])),
});

test('whatever is packed is unpacked as it was, with and without an example before it', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 5 }), fc.boolean(), (values, isAfterExample) => {
      const packer = new Packer<unknown>();
      if (isAfterExample) packer.pack(sibling(0));
      const packed = values.map((value) => packer.pack(value));
      assert.deepEqual(
        packed.map((text) => packer.unpack(text)),
        values.map((value) => JSON.parse(JSON.stringify(value)) as unknown),
      );
    }),
  );
});

test('a sibling costs a tenth of what it is as a text, also if the first object is no example', () => {
  const packer = new Packer<unknown>();
  packer.pack({ metadata: { name: 'foreign' } });
  packer.pack(sibling(0));
  const packed = packer.pack(sibling(12_345));
  assert.ok(packed.length < JSON.stringify(sibling(12_345)).length / 10, `${packed.length} characters`);
});

test('an object longer than what a dictionary can hold is an example, too', () => {
  const packer = new Packer<string>();
  const long = 'é'.repeat(100_000);
  assert.equal(packer.unpack(packer.pack(long)), long);
  assert.equal(packer.unpack(packer.pack(`${long}!`)), `${long}!`);
});
