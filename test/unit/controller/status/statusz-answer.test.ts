// What a pod answers is parsed as if an attacker had written it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAnswer } from '../../../../src/controller/status/statusz-answer.ts';
import { carrying } from './observed.ts';

test('an honest answer is taken as it is, and fields that only a newer sidecar knows are ignored', () => {
  assert.deepEqual(parseAnswer(JSON.stringify({ ...carrying, novelty: { a: 1 } })), carrying);
});

test('what could steer a terminal or turn text around is removed', () => {
  const message = 'a\u001b[31mred\u0007\r\nnext\u202Eright\u200Bhidden\u2028line';
  const answer = parseAnswer(JSON.stringify({ ...carrying, message }));
  assert.equal(answer.message, 'a [31mred next right hidden line');
});

test('a text is cut, not refused', () => {
  const answer = parseAnswer(JSON.stringify({ ...carrying, message: 'x'.repeat(10_000) }));
  assert.equal(answer.message?.length, 1024);
});

test('what is no status is refused without repeating it', () => {
  for (const text of ['', 'secret', '[]', 'null', '{"version":2}', JSON.stringify({ ...carrying, state: 'secret' })]) {
    assert.throws(
      () => parseAnswer(text),
      (error) => error instanceof Error && !error.message.includes('secret') && error.message.startsWith('the answer'),
    );
  }
});

test('whatever JSON comes, the outcome is a status without control characters or an error', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      try {
        const answer = parseAnswer(JSON.stringify({ ...carrying, message: text, extra: value }));
        assert.doesNotMatch(answer.message ?? '', /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      } catch (error) {
        assert.ok(error instanceof Error && error.message.startsWith('the answer'), String(error));
      }
    }),
    { numRuns: 200 },
  );
});
