import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Report } from '../../../../src/sidecar/doctor/report.ts';

const subject = { namespace: 'shop', name: 'orders-db', from: 'pod pf-orders-db-1', tunnel: 'Failed: no answer' };
const fine = { at: 'bastion a:22', step: 'tcp', ok: true, ms: 1.5, facts: ['connected to 10.0.0.1'] };
const fault = {
  at: 'bastion a:22',
  step: 'login',
  ok: false,
  ms: 20,
  facts: ['refused: key one', 'refused: key two'],
  reason: 'AuthenticationFailed',
  message: 'it does not accept user x',
  remedy: 'Correct it.',
  advice: [{ where: 'on the bastion a:22', command: 'journalctl' }],
};

test('text is printed while the walk goes on, and ends with the faults', () => {
  const lines: string[] = [];
  const report = new Report('text', subject, (line) => lines.push(line));
  report.step(fine);
  report.step(fault);
  report.end();
  assert.equal(report.ok, false);
  assert.equal(
    lines.join('\n'),
    `shop/orders-db from pod pf-orders-db-1
  the tunnel itself: Failed: no answer
bastion a:22
  ok    tcp                        1.5 ms  connected to 10.0.0.1
  FAIL  login                     20.0 ms  refused: key one
                                           refused: key two
        AuthenticationFailed: it does not accept user x
        do: Correct it.
        run on the bastion a:22: journalctl
fault: login at bastion a:22: AuthenticationFailed`,
  );
});

test('json is one document at the end', () => {
  const lines: string[] = [];
  const report = new Report('json', subject, (line) => lines.push(line));
  report.step(fine);
  assert.deepEqual(lines, []);
  report.end();
  assert.deepEqual(JSON.parse(lines.join('\n')), { ...subject, ok: true, steps: [fine] });
});

test('a walk without a step is no success', () => {
  assert.equal(new Report('json', subject, () => undefined).ok, false);
});
