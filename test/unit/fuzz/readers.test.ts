import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readers } from '../../fuzz/readers.ts';
import { fuzzSubject } from '../../fuzz/subject.ts';

for (const reader of readers) {
  test(`five thousand broken ${reader.name} are neither misread nor do they cause an exception`, (t) => {
    const { valid } = fuzzSubject(reader, 5_000, 20_261_130);
    t.diagnostic(`${valid} were valid`);
    // Some must get through, or the fuzz would prove nothing about what is read.
    assert.ok(valid > 250, `only ${valid} inputs were valid`);
  });
}
