// Memory that is used again must not be, while somebody holds a part of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { slabBytes } from '../../../../../src/sidecar/base/slab.ts';
import { FrameMemory } from '../../../../../src/sidecar/drivers/fly/helper/frame-memory.ts';

const size = 64 * 1024;

test('parts lie one behind the other, and a full slab is used again one slab later', () => {
  const memory = new FrameMemory(new ByteBudget());
  const parts = Array.from({ length: (3 * slabBytes) / size }, () => memory.take(size));
  const places = new Set(parts.map((part) => part?.slab));
  assert.equal(places.has(undefined), false);
  assert.equal(places.size, 2);
  const inOneSlab = parts.slice(0, slabBytes / size).map((part) => part?.bytes.byteOffset);
  assert.deepEqual(
    inOneSlab,
    inOneSlab.map((_, index) => index * size),
  );
  memory.close();
});

test('a part of a pinned slab stays as it is', () => {
  const memory = new FrameMemory(new ByteBudget());
  const held = memory.take(size);
  assert.ok(held !== undefined);
  held.bytes.fill(7);
  held.slab.pin();
  for (let round = 0; round < 40; round += 1) memory.take(size)?.bytes.fill(round);
  assert.ok(held.bytes.every((byte) => byte === 7));
  held.slab.unpin();
  memory.close();
});

test('while the pod’s memory is scarce there is none', () => {
  const budget = new ByteBudget();
  const memory = new FrameMemory(budget);
  budget.take(budget.total);
  assert.equal(memory.take(size), undefined);
  budget.giveBack(budget.total);
  assert.notEqual(memory.take(size), undefined);
  memory.close();
});
