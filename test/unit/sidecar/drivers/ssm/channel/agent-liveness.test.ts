import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgentLiveness } from '../../../../../../src/sidecar/drivers/ssm/channel/agent-liveness.ts';
import type { AgentVerdict } from '../../../../../../src/sidecar/drivers/ssm/channel/agent-silence.ts';
import { keepAliveMs, probeMs } from '../../../../../../src/sidecar/drivers/ssm/channel/probe-schedule.ts';

/** Drives a liveness as its owner does: judges when it asks for that, with an agent that may be silent. */
class Drive {
  now = 0;
  readonly liveness = new AgentLiveness(0);
  readonly probes: number[] = [];
  readonly verdicts: { readonly at: number; readonly verdict: AgentVerdict }[] = [];
  answers = true;

  run(until: number): void {
    for (;;) {
      const { verdict, probe, at } = this.liveness.judge(this.now);
      if (this.verdicts.at(-1)?.verdict !== verdict) this.verdicts.push({ at: this.now, verdict });
      if (probe) {
        this.probes.push(this.now);
        this.liveness.outstanding(this.now, true);
        if (this.answers) {
          this.now += 50;
          this.liveness.progress(this.now);
          this.liveness.outstanding(this.now, false);
        }
        continue;
      }
      if (at === undefined || at > until) break;
      this.now = at;
    }
    this.now = until;
  }
}

test('an idle agent that answers is asked every 4 s and stays alive', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, probeMs);
  drive.run(60_000);
  assert.deepEqual(drive.verdicts, [{ at: 0, verdict: 'alive' }]);
  assert.ok(drive.probes.length >= 14 && drive.probes.length <= 15, `${drive.probes.length} probes`);
});

test('a silent agent is suspect after 8 s, resumed after 25 s and ended after 75 s', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, probeMs);
  drive.answers = false;
  drive.run(100_000);
  assert.deepEqual(drive.verdicts, [
    { at: 0, verdict: 'alive' },
    { at: 8_000, verdict: 'suspect' },
    { at: 25_000, verdict: 'resume' },
    { at: 75_000, verdict: 'ended' },
  ]);
});

test('progress makes a suspect agent alive again', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, probeMs);
  drive.answers = false;
  drive.run(10_000);
  drive.liveness.progress(10_000);
  assert.equal(drive.liveness.judge(10_000).verdict, 'alive');
});

test('on an unwatched idle channel silence means nothing; with an outstanding message it counts from the sending', () => {
  const drive = new Drive();
  drive.run(100_000);
  assert.deepEqual(drive.verdicts, [{ at: 0, verdict: 'alive' }]);
  assert.deepEqual(drive.probes, []);
  drive.liveness.outstanding(100_000, true);
  drive.run(110_000);
  assert.deepEqual(drive.verdicts.at(-1), { at: 108_000, verdict: 'suspect' });
});

test('silence counts from the moment when watching begins', () => {
  const drive = new Drive();
  drive.run(100_000);
  drive.liveness.probeEvery(100_000, probeMs);
  assert.equal(drive.liveness.judge(100_000).verdict, 'alive');
  drive.answers = false;
  drive.run(109_000);
  assert.deepEqual(drive.verdicts.at(-1), { at: 108_000, verdict: 'suspect' });
});

test('an old agent gets a keep-alive every 10 s and does not count as silent in between', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, keepAliveMs);
  drive.run(61_000);
  assert.deepEqual(drive.verdicts, [{ at: 0, verdict: 'alive' }]);
  assert.equal(drive.probes.length, 6);
});

test('an old agent that sends something itself every 10 s still gets keep-alives', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, keepAliveMs);
  for (let at = 9_900; at < 60_000; at += 10_000) {
    drive.run(at);
    drive.liveness.progress(at);
  }
  assert.ok(drive.probes.length >= 5, `${drive.probes.length} frames in a minute`);
});

test('time stands still while we do not read', () => {
  const drive = new Drive();
  drive.liveness.probeEvery(0, probeMs);
  drive.answers = false;
  drive.run(7_000);
  drive.liveness.paused(7_000);
  assert.deepEqual(drive.liveness.judge(60_000), { verdict: 'alive', probe: false, at: undefined });
  drive.liveness.resumed(60_000);
  drive.now = 60_000;
  drive.run(62_000);
  assert.deepEqual(drive.verdicts.at(-1), { at: 61_000, verdict: 'suspect' });
});

test('an agent without a socket counts as silent, watched or not', () => {
  const drive = new Drive();
  drive.run(50_000);
  drive.liveness.connected(50_000, false);
  drive.run(60_000);
  assert.deepEqual(drive.verdicts.at(-1), { at: 58_000, verdict: 'suspect' });
  assert.deepEqual(drive.probes, []);
});

test('after a sleep of this process silence is counted anew', () => {
  const liveness = new AgentLiveness(0);
  liveness.probeEvery(0, probeMs);
  assert.equal(liveness.judge(0).at, 4_000);
  assert.equal(liveness.judge(300_000).verdict, 'alive');
  assert.equal(liveness.judge(300_000).at, 304_000);
});

test('a sleep is recognized by when the owner planned to ask, not by when it had to', () => {
  const liveness = new AgentLiveness(0);
  liveness.outstanding(0, true);
  assert.deepEqual(liveness.judge(9_000), { verdict: 'suspect', probe: false, at: 25_000 });
  liveness.planned(9_200);
  assert.equal(liveness.judge(25_500).verdict, 'alive');
});
