// A log line: its form, its levels, and that no secret gets into it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, silentLog } from '../../../src/process/log.ts';

function captured(): { lines: () => Record<string, unknown>[]; write(line: string): void } {
  const written: string[] = [];
  return {
    write: (line) => void written.push(line),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

test('a line is JSON with the level as a word, an ISO time, fields of parents and the sentence', () => {
  const out = captured();
  createLog({ destination: out, fields: { component: 'controller' } })
    .child({ controller: 'x' })
    .warn({ attempt: 3 }, 'again');
  const [line] = out.lines();
  assert.ok(line);
  assert.equal(new Date(String(line['time'])).toISOString(), line['time']);
  delete line['time'];
  assert.deepEqual(line, { level: 'warn', component: 'controller', controller: 'x', attempt: 3, msg: 'again' });
});

test('lines under the level are not written', () => {
  const out = captured();
  const log = createLog({ destination: out, level: 'warn' });
  log.info('no');
  log.error('yes');
  assert.deepEqual(
    out.lines().map((line) => line['msg']),
    ['yes'],
  );
  silentLog().error('nowhere');
});

test('an error is logged with its causes but without what libraries hang on it', () => {
  const out = captured();
  const cause = Object.assign(new Error('refused'), {
    code: 'ECONNREFUSED',
    request: { headers: { authorization: 'Bearer abc' } },
  });
  createLog({ destination: out }).error({ error: new Error('no list', { cause }) }, 'failed');
  const text = JSON.stringify(out.lines());
  assert.ok(text.includes('ECONNREFUSED') && text.includes('no list'));
  assert.ok(!text.includes('abc'));
});

test('an error whose causes loop is still one line', () => {
  const out = captured();
  const error = new Error('ring');
  error.cause = error;
  createLog({ destination: out }).error({ error }, 'failed');
  assert.equal(out.lines().length, 1);
});

test('fields named like secrets are redacted, one level down too', () => {
  const out = captured();
  createLog({ destination: out }).info({ password: 'p1', ssh: { passphrase: 'p2' } }, 'x');
  const text = JSON.stringify(out.lines());
  assert.ok(!text.includes('p1') && !text.includes('p2') && text.includes('[redacted]'));
});
