// What a person who waits reads: lengths of time, counted steps, one line that changes on a terminal and a line each 30 s elsewhere.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { duration, progressOn, step } from '../../../lab/base/progress.ts';

test('a length of time is never 60 seconds of a minute', () => {
  const seconds = [0, 0.04, 3.21, 9.94, 9.96, 42.4, 59.4, 59.5, 60, 119.4, 119.6, 125, 3_600];
  assert.deepEqual(
    seconds.map((count) => duration(count * 1000)),
    [
      '0.0 s',
      '0.0 s',
      '3.2 s',
      '9.9 s',
      '10 s',
      '42 s',
      '59 s',
      '1 min',
      '1 min',
      '1 min 59 s',
      '2 min',
      '2 min 5 s',
      '60 min',
    ],
  );
});

/** An output that remembers, and a clock that only `pass` moves. */
function screen(output: { readonly isTTY?: boolean; readonly columns?: number }, timers: { tick(ms: number): void }) {
  const written: string[] = [];
  let now = 0;
  const log = progressOn({ ...output, write: (text) => written.push(text) }, () => now);
  const pass = (ms: number): void => {
    now += ms;
    timers.tick(ms);
  };
  return { log, pass, taken: () => written.splice(0) };
}

suite('steps', () => {
  test('without a terminal there is a line each 30 s, which counts, and one at the end', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { log, pass, taken } = screen({}, t.mock.timers);
    log.expect?.(14);
    const done = Promise.withResolvers<void>();
    const stepped = step(
      log,
      'compile',
      async (tell) => {
        tell('3 of 9 packages');
        await done.promise;
      },
      { usualSeconds: 540 },
    );
    pass(29_999);
    assert.deepEqual(taken(), []);
    pass(30_001);
    assert.deepEqual(
      taken(),
      ['  … step 1 of 14: compile (1 min, usually 9 min, 3 of 9 packages)\n'.repeat(2)].flatMap((text) => [
        text.slice(0, text.length / 2),
        text.slice(text.length / 2),
      ]),
    );
    done.resolve();
    await stepped;
    assert.deepEqual(taken(), ['  ✓ 1/14 compile (1 min)\n']);
  });

  test('on a terminal one line changes each second, holds what runs side by side, and is no wider than the terminal', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { log, pass, taken } = screen({ isTTY: true, columns: 60 }, t.mock.timers);
    log.expect?.(2);
    const [one, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const both = [step(log, 'one', () => one.promise), step(log, 'other', () => other.promise)];
    taken();
    pass(1_000);
    const clear = '\r\u001b[2K';
    const line = '  … step 1 of 2: one (1.0 s); step 2 of 2: other (1.0 s)';
    assert.deepEqual(taken(), [`${clear}${line}`, `${clear}${line}`]);
    log('said meanwhile');
    assert.deepEqual(taken(), [`${clear}said meanwhile\n`, `${clear}${line}`]);
    one.resolve();
    await both[0];
    assert.deepEqual(taken(), [`${clear}  ✓ 1/2 one (1.0 s)\n`, `${clear}  … step 2 of 2: other (1.0 s)`]);
    other.reject(new Error('not possible'));
    await assert.rejects(both[1] as Promise<void>, /not possible/);
    assert.deepEqual(taken(), [`${clear}  ✗ 2/2 other (1.0 s)\n`]);
    const long = step(log, 'x'.repeat(100), async () => {});
    for (const text of taken()) assert.ok(text.replace(clear, '').length < 60, text);
    await long;
  });

  test('more steps than were announced count on', async () => {
    const written: string[] = [];
    const log = progressOn({ write: (text) => written.push(text) }, () => 0);
    log.expect?.(1);
    await step(log, 'one', async () => {});
    await step(log, 'two', async () => {});
    assert.deepEqual(written, ['  ✓ 1/1 one (0.0 s)\n', '  ✓ 2/2 two (0.0 s)\n']);
  });
});
