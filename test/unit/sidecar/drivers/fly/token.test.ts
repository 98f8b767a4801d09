// The Authorization header that a token becomes, as flyctl makes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorization } from '../../../../../src/sidecar/drivers/fly/api/token.ts';

const headers: readonly (readonly [text: string, header: string | undefined])[] = [
  ['fo1_abc', 'Bearer fo1_abc'],
  ['  fo1_abc\n', 'Bearer fo1_abc'],
  ['Bearer fo1_abc', 'Bearer fo1_abc'],
  ['FlyV1 fm2_a,fm2_b', 'FlyV1 fm2_a,fm2_b'],
  ['flyv1 FlyV1 fm2_a, fm2_b', 'FlyV1 fm2_a,fm2_b'],
  ['fm2_a', 'FlyV1 fm2_a'],
  ['fm1r_a,fm1a_b', 'FlyV1 fm1r_a,fm1a_b'],
  ['fo1_abc,fm2_a', 'FlyV1 fm2_a,fo1_abc'],
  ['fm2_a,,', 'FlyV1 fm2_a'],
  ['', undefined],
  [' , ', undefined],
  ['Bearer ', undefined],
  ['fo1_a b', undefined],
  ['fo1_a\nfo1_b', undefined],
  ['fo1_ä', undefined],
];

test('the header of a token', () => {
  for (const [text, header] of headers) assert.equal(authorization(text), header, JSON.stringify(text));
});
