// A helper that does not answer: one that stands still is ended, one that works gets more time. The helper is a script of this test.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { silentLog } from '../../../../../src/process/log.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { cpuTicks } from '../../../../../src/sidecar/drivers/fly/helper/cpu-time.ts';
import { HelperProcess } from '../../../../../src/sidecar/drivers/fly/helper/helper-process.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

/** A helper that answers its start, and after that works without an end. */
async function helper(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'pf-helper-'));
  const program = join(directory, 'helper');
  writeFileSync(program, `#!/bin/sh\nread -r line\necho '{"id":1}'\nwhile :; do :; done\n`);
  chmodSync(program, 0o700);
  const clock = new FakeClock();
  const budget = new ByteBudget();
  const options = { program, directory, environment: {}, budget, clock, log: silentLog() };
  const process = await HelperProcess.start(options, { signal: t.signal });
  t.after(async () => {
    if (!process.signal.aborted) globalThis.process.kill(pidOf(process), 'SIGKILL');
    await process.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { process, clock, budget };
}

const pidOf = ({ pid }: HelperProcess): number => pid ?? assert.fail('it was not started');
const isStopped = (process: HelperProcess): boolean => / T /.test(readFileSync(`/proc/${pidOf(process)}/stat`, 'utf8'));

const endOf = (process: HelperProcess): string => {
  const { reason } = process.signal as { reason?: unknown };
  return reason instanceof TunnelError ? reason.code : 'none';
};

suite('a helper that does not answer', {
  skip: globalThis.process.platform !== 'linux' && 'only Linux tells CPU time',
}, () => {
  test('and stands still is ended after 3 s, and gives its share of the memory back', async (t) => {
    const { process, clock, budget } = await helper(t);
    globalThis.process.kill(pidOf(process), 'SIGSTOP');
    while (!isStopped(process)) await delay(5);
    assert.ok(budget.used > 0);
    await clock.advance(2_900);
    assert.equal(process.signal.aborted, false);
    await clock.advance(400);
    assert.equal(endOf(process), 'HelperFailed');
    assert.equal(budget.used, 0);
  });

  test('but works has more time, though not forever', async (t) => {
    const { process, clock } = await helper(t);
    const works = async (): Promise<void> => {
      const before = cpuTicks(process.pid) ?? Number.NaN;
      while ((cpuTicks(process.pid) ?? 0) <= before) await delay(5);
    };
    await clock.advance(1_000);
    await works();
    await clock.advance(2_250);
    assert.equal(process.signal.aborted, false, 'it was busy');
    for (let extension = 0; extension < 3; extension += 1) {
      assert.equal(process.signal.aborted, false);
      await works();
      await clock.advance(3_250);
    }
    assert.equal(endOf(process), 'HelperFailed');
  });
});
