// What a person reads of a container that ended: its cause, never a line of our own log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podProblem } from '../../../../src/controller/status/pod-problems.ts';
import { pod } from './observed.ts';

/** A crashed container; `message` is what the kubelet took from the end of its log. */
function ended(message: string, exitCode = 1, reason = 'Error'): string | undefined {
  const at = '2026-01-01T00:00:00Z';
  const terminated = { exitCode, reason, message, startedAt: at, finishedAt: at };
  const container = { name: 'tunnel', image: 'i', imageID: '', ready: false, restartCount: 1, state: { terminated } };
  return podProblem(pod({ containerStatuses: [container] }, 'a'))?.message;
}

const debug = '{"level":"debug","time":"2026-01-01T00:00:00Z","msg":"connection ended"}';

test('a killed container says how it ended, without the log line that was its last', () => {
  assert.equal(ended(debug, 137, 'OOMKilled'), 'the container of pod a ended with exit code 137 (OOMKilled)');
  const cut = 'ed","forward":"postgres","msg":"connection ended"}';
  assert.equal(ended(`${cut}\n${debug}`, 137), 'the container of pod a ended with exit code 137 (Error)');
});

test('an error of ours is told by its sentence, and what Node itself says by its line', () => {
  const error = JSON.stringify({
    level: 'error',
    msg: 'ended by an error',
    error: { type: 'TunnelError', message: 'the tunnel configuration is not JSON' },
  });
  const prefix = 'the container of pod a ended with exit code 1 (Error)';
  assert.equal(ended(`${error}\n${debug}`), `${prefix}: the tunnel configuration is not JSON`);
  assert.equal(ended('node: bad option: --x'), `${prefix}: node: bad option: --x`);
  assert.equal(ended(''), prefix);
  assert.equal(ended('{"level":"error"'), prefix);
});
