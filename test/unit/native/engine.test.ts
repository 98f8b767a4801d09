// The engine's own tests, with AddressSanitizer and UBSan, and a part of its fuzzing. The whole: `npm run fuzz -- native`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { InboundWindow } from '../../../src/sidecar/drivers/ssh/channels/inbound-window.ts';
import { engineProgram, fuzzEngine } from '../../fuzz/native/engine-program.ts';
import { sanitizedNode } from '../../fuzz/native/sanitized-addon.ts';

const run = promisify(execFile);

describe('the engine', { skip: process.platform !== 'linux' && 'it is for Linux' }, () => {
  test('passes its own tests under AddressSanitizer and UBSan', async () => {
    const { stdout } = await run(await engineProgram());
    assert.match(stdout, /^\d+ tests passed$/m);
  });

  test('passes the tests of the addon under them as well', async () => {
    const { program, environment } = await sanitizedNode();
    const env = { ...process.env, ...environment };
    // Else it would take itself for a part of this run, and say nothing.
    delete env['NODE_TEST_CONTEXT'];
    const { stdout } = await run(program, ['--test', join(import.meta.dirname, 'addon.test.ts')], { env });
    assert.match(stdout, /pass \d\d/);
  });

  test('is sanitized in each Node that a sanitized one starts, and other programs start without the sanitizer', async () => {
    const { program, environment } = await sanitizedNode();
    const built = join(import.meta.dirname, '..', '..', '..', 'native', 'build', 'engine.node');
    const says = `
      require(${JSON.stringify(built)});
      const maps = (process) => require('node:fs').readFileSync('/proc/' + process + '/maps', 'utf8');
      console.log(maps('self').includes(process.env.PF_SANITIZED_ENGINE), maps('self').includes('libasan'));`;
    const script = `${says}
      const { execFileSync } = require('node:child_process');
      process.stdout.write(execFileSync(process.execPath, ['--eval', ${JSON.stringify(says)}]));
      console.log(execFileSync('cat', ['/proc/self/maps'], { encoding: 'utf8' }).includes('libasan'));`;
    const { stdout } = await run(program, ['--eval', script], { env: { ...process.env, ...environment } });
    assert.equal(stdout, 'true true\ntrue true\nfalse\n');
  });

  test('stays within its bounds whatever a bastion and clients do', async (t) => {
    t.diagnostic(await fuzzEngine(100_000, 1 + (Date.now() % 2 ** 31)));
  });

  test('grants windows exactly as inbound-window.ts does', async () => {
    const steps: string[] = [];
    const expected: string[] = [];
    for (let seed = 1; seed <= 200; seed += 1) traceWindow(seed, steps, expected);
    const tracing = run(await engineProgram(), ['window-trace'], { maxBuffer: 2 ** 26 });
    tracing.child.stdin?.end(`${steps.join('\n')}\n`);
    const { stdout } = await tracing;
    const found = stdout.trimEnd().split('\n');
    assert.equal(found.length, expected.length);
    found.forEach((line, at) => assert.equal(line, expected[at], `after ${steps[at]}`));
  });
});

/** A window's life by a seed: what is done to it, and what inbound-window.ts answers. */
function traceWindow(seed: number, steps: string[], expected: string[]): void {
  let state = seed;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const budget = new ByteBudget((1 + below(64)) * 1024 * 1024);
  const taken = below(budget.total);
  budget.take(taken);
  let now = below(1_000_000);
  let roundTripMs: number | undefined;
  const say = (step: string, answer: number): void => {
    steps.push(step);
    expected.push(`${answer} ${window.granted} ${budget.used - taken}`);
  };
  const window = new InboundWindow(budget, now, () => roundTripMs);
  say(`${budget.total} ${taken} ${now}`, 0);
  let buffered = 0;
  for (let step = 0; step < 300; step += 1) {
    if (below(50) === 0) roundTripMs = below(3) === 0 ? undefined : below(100);
    const bytes = below(3) === 0 ? below(300_000) : Math.min(32 * 1024, window.granted);
    const isWithin = window.received(bytes);
    say(`r ${bytes}`, Number(isWithin));
    if (isWithin) buffered += bytes;
    const consumed = below(4) === 0 ? below(buffered + 1) : buffered;
    if (consumed === 0) continue;
    now += below(20) === 0 ? below(3_000) : below(10);
    buffered -= consumed;
    const granted = window.consumed(consumed, now);
    say(`c ${consumed} ${now} ${roundTripMs ?? 'nan'}`, granted);
  }
  window.release();
  say('e', 0);
}
