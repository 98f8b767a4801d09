import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, printable, tableLines } from '../../../../src/cli/kubectl/table.ts';

test('columns are aligned, and no line ends in blanks', () => {
  assert.deepEqual(
    tableLines([
      ['TUNNEL', 'STATE', 'REASON'],
      ['orders-db', 'Ready', ''],
      ['a', 'Unreachable', 'DestinationRefused'],
    ]),
    ['TUNNEL     STATE        REASON', 'orders-db  Ready', 'a          Unreachable  DestinationRefused'],
  );
});

test('an age is written as kubectl writes it', () => {
  const now = new Date('2026-02-03T12:00:00Z');
  const ago = (seconds: number): string => age(new Date(now.getTime() - seconds * 1000).toISOString(), now);
  assert.deepEqual([0, 119, 120, 330, 600, 3 * 3600 - 1, 3 * 3600, 47 * 3600, 48 * 3600].map(ago), [
    '0s',
    '119s',
    '2m',
    '5m30s',
    '10m',
    '179m',
    '3h',
    '47h',
    '2d',
  ]);
  assert.equal(ago(-5), '0s', 'the clocks of two machines differ');
  assert.equal(age(undefined, now), '');
  assert.equal(age('yesterday', now), '');
});

test('text of others moves no cursor', () => {
  assert.equal(printable('a\u001B[2Jb\u202Ec\nd é →'), 'a?[2Jb?c?d é →');
});
