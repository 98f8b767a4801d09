import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { SharedTexts } from '../../../../../src/controller/kube/base/shared-texts.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that are kept of many values, of which each is made anew. */
function keptBytes(make: (index: number) => unknown): number {
  const count = 20_000;
  const kept: unknown[] = Array.from({ length: count });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (const index of kept.keys()) kept[index] = make(index);
  collectGarbage();
  const bytes = process.memoryUsage().heapUsed - before;
  assert.equal(kept.length, count);
  return bytes;
}

test('what is shared says the same as before', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 10 }), (values) => {
      const texts = new SharedTexts();
      for (const value of values) {
        const text = JSON.stringify(value);
        assert.equal(JSON.stringify(texts.share(JSON.parse(text))), text);
      }
    }),
  );
});

test('equal strings are kept once, also while others come and go', () => {
  const pod = (index: number): unknown =>
    JSON.parse(`{"image":"registry.example.com/portforward:1","phase":"Running","uid":"uid-${index}"}`);
  const texts = new SharedTexts();
  const apart = keptBytes(pod);
  const shared = keptBytes((index) => texts.share(pod(index)));
  assert.ok(shared < apart * 0.75, `${shared} bytes of ${apart}`);
});

test('what nobody keeps is not kept for long', () => {
  const texts = new SharedTexts();
  const bytes = keptBytes((index) => {
    texts.share(JSON.parse(`["${String(index).padStart(200, 'x')}"]`));
    return undefined;
  });
  assert.ok(bytes < 2 << 20, `${bytes} bytes`);
});
