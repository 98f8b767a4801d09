import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Liveness, type LivenessAction } from '../../../../../../src/sidecar/drivers/ssh/channels/liveness.ts';
import { assertEvery } from '../../../../../support/assert-every.ts';

/** A connection on a simulated clock; `bytes` is what it received so far. */
class Simulation {
  now = 0;
  bytes = 0;
  readonly liveness = new Liveness({ intervalMs: 2000 }, 0, 0);
  readonly actions: { readonly at: number; readonly action: LivenessAction }[] = [];

  /** Ticks until `until`; calls `answer` for every action. */
  run(until: number, answer: (action: LivenessAction) => void = () => undefined): void {
    while (this.now + this.liveness.tickMs <= until) {
      this.now += this.liveness.tickMs;
      const action = this.liveness.tick(this.now, this.bytes);
      if (action !== 'none') this.actions.push({ at: this.now, action });
      answer(action);
    }
  }

  first(action: LivenessAction): number | undefined {
    return this.actions.find((entry) => entry.action === action)?.at;
  }
}

describe('liveness', () => {
  test('pings after one interval of silence and is never suspect while bytes come', () => {
    const simulation = new Simulation();
    simulation.run(60_000, (action) => {
      if (action === 'ping') simulation.bytes += 1;
    });
    assert.equal(simulation.first('ping'), 2000);
    assertEvery(simulation.actions, ({ action }) => action === 'ping', 'only pings');
    assert.equal(simulation.liveness.suspect, false);
  });

  test('does not ping while bytes come by themselves', () => {
    const simulation = new Simulation();
    simulation.run(60_000, () => {
      simulation.bytes += 1;
    });
    assert.deepEqual(simulation.actions, []);
  });

  test('tells how long it has been silent, and hears a byte before the next tick does', () => {
    const simulation = new Simulation();
    simulation.run(3000);
    assert.equal(simulation.liveness.silentMs(3400, 0), 3400);
    assert.equal(simulation.liveness.silentMs(3400, 1), 0);
    simulation.bytes = 1;
    simulation.run(3500);
    assert.equal(simulation.liveness.silentMs(4000, 1), 600);
  });

  test('is suspect after two silent intervals, and no longer after one byte', () => {
    const simulation = new Simulation();
    simulation.run(3500);
    assert.equal(simulation.liveness.suspect, false);
    simulation.run(4000);
    assert.equal(simulation.liveness.suspect, true);
    simulation.bytes += 1;
    simulation.run(4500);
    assert.equal(simulation.liveness.suspect, false);
  });

  test('proposes the end at 8 s where the kernel shows unacknowledged bytes', () => {
    const simulation = new Simulation();
    simulation.run(12_000, (action) => {
      if (action === 'askKernel') simulation.liveness.kernelSays(true);
    });
    assert.equal(simulation.first('confirm'), 8000);
    assert.equal(simulation.liveness.confirm(simulation.now, simulation.bytes), 'network-dead');
  });

  test('proposes the end only at 30 s where the far side stalls', () => {
    const simulation = new Simulation();
    simulation.run(40_000, (action) => {
      if (action === 'askKernel') simulation.liveness.kernelSays(false);
    });
    assert.equal(simulation.first('confirm'), 30_000);
    assert.equal(simulation.liveness.confirm(simulation.now, simulation.bytes), 'far-side-stalled');
  });

  test('asks the kernel about once a second, and only while suspect', () => {
    const simulation = new Simulation();
    simulation.run(14_000);
    const asked = simulation.actions.filter(({ action }) => action === 'askKernel');
    assertEvery(asked, ({ at }) => at >= 4000, 'no question before four seconds');
    assert.ok(asked.length >= 5 && asked.length <= 11, `${asked.length}`);
  });

  test('a byte that is read in the last turn saves the connection', () => {
    const simulation = new Simulation();
    simulation.run(8000, (action) => {
      if (action === 'askKernel') simulation.liveness.kernelSays(true);
    });
    assert.equal(simulation.first('confirm'), 8000);
    assert.equal(simulation.liveness.confirm(simulation.now, simulation.bytes + 1), undefined);
    assert.equal(simulation.liveness.suspect, false);
  });

  test('our own absence does not count as the far side’s: a late tick restarts the count', () => {
    const simulation = new Simulation();
    simulation.run(1500);
    simulation.now += 60_000;
    assert.equal(simulation.liveness.tick(simulation.now, 0), 'none');
    assert.equal(simulation.liveness.suspect, false);
    simulation.run(simulation.now + 3500);
    assert.equal(simulation.liveness.suspect, false);
    simulation.run(simulation.now + 500);
    assert.equal(simulation.liveness.suspect, true);
  });

  test('while bytes come at least every 3.9 s nothing is suspect, whatever the ticks do', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3900 }), { maxLength: 50 }), (gaps) => {
        const simulation = new Simulation();
        for (const gap of gaps) {
          simulation.run(simulation.now + gap, () => assert.equal(simulation.liveness.suspect, false));
          simulation.bytes += 1;
          simulation.liveness.tick(simulation.now, simulation.bytes);
        }
      }),
    );
  });
});
