// A failure about a list shows the values that decide it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertEvery, assertSome } from '../../support/assert-every.ts';

const failure = (message: string) => ({ name: 'AssertionError', message });

test('assertEvery passes if the rule holds for all, and else names those that break it with their places', () => {
  assertEvery([2, 4], (number) => number % 2 === 0, 'even numbers');
  assertEvery([0, 1], (number, index) => number === index, 'its own place');
  assert.throws(
    () => assertEvery(new Set([2, 3, { gap: 5 }]), (item) => item === 2, 'twos only'),
    failure('twos only: not so for 2 of 3\n  [1] 3\n  [2] { gap: 5 }'),
  );
});

test('assertSome passes if the rule holds for one, and else shows all', () => {
  assertSome(['a', 'b'], (text) => text === 'b', 'a b');
  assert.throws(
    () => assertSome(['a', 'c'], (text) => text === 'b', 'a b'),
    failure("a b: not so for any of 2\n  [0] 'a'\n  [1] 'c'"),
  );
  assert.throws(() => assertSome([], () => true, 'anything'), failure('anything: not so for any of 0'));
});

test('what a failure shows is bounded in number and in length', () => {
  assert.throws(
    () =>
      assertEvery(
        Array.from({ length: 1_000 }, () => 'x'.repeat(10_000)),
        () => false,
        'nothing',
      ),
    ({ message }: Error) => message.length < 7_000 && message.endsWith('…\n  and 980 more'),
  );
});
