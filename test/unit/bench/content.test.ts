import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf, slice } from '../../bench/content.ts';

function whole(total: number): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = 0; offset < total; offset += pieces.at(-1)?.length ?? 0) pieces.push(slice(offset, total));
  return Buffer.concat(pieces);
}

test('slices make a transfer of the given length, with the digest that the sink expects', () => {
  const total = 3 * 2 ** 20 + 12_345;
  const bytes = whole(total);
  assert.equal(bytes.length, total);
  assert.ok(createHash('sha256').update(bytes).digest().equals(digestOf(total)));
});

test('a transfer cannot be compressed and has no line feed, which AWS’s plugin may rewrite', () => {
  const bytes = whole(2 ** 20);
  assert.ok(gzipSync(bytes).length > 0.99 * bytes.length);
  assert.equal(bytes.includes(0x0a), false);
});
