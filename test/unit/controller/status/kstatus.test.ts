// Reconciling and Stalled over time: what kstatus, Flux and Argo CD conclude from a tunnel's story.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortForwardStatus } from '../../../../src/contract/api/status.ts';
import type { Observation } from '../../../../src/controller/status/conditions.ts';
import { computeStatus } from '../../../../src/controller/status/status.ts';
import { portForward } from '../portforwards.ts';
import { carrying, deployment, failing, lostTunnel, observation, readyTunnel } from './observed.ts';

/** A PortForward that lives through a story: each step is some seconds later. */
class Story {
  #seconds = 0;
  #generation = 3;
  #status: PortForwardStatus = { observedGeneration: -1 };
  changesInMs: number | undefined;

  edit(): this {
    this.#generation += 1;
    return this;
  }

  after(seconds: number, seen: Partial<Observation>): string {
    this.#seconds += seconds;
    const document = portForward({}, { generation: this.#generation });
    const { status, changesInMs } = computeStatus(
      { ...document, status: this.#status },
      observation(seen),
      new Date(Date.UTC(2026, 0, 1) + this.#seconds * 1_000),
    );
    this.#status = status;
    this.changesInMs = changesInMs;
    const find = (type: string) => status.conditions?.find((each) => each.type === type);
    if (find('Stalled')?.status === 'True') return `Stalled ${find('Stalled')?.reason}`;
    return find('Reconciling')?.status === 'True' ? 'Reconciling' : 'neither';
  }
}

const down = { tunnels: [lostTunnel(failing('BastionTimeout'))] };
const denied = { tunnels: [lostTunnel(failing('AuthenticationFailed'))] };
const up = { tunnels: [readyTunnel(carrying)] };

test('never ready: reconciling for 120 s, then stalled, and normal once it is ready after all', () => {
  const story = new Story();
  assert.equal(story.after(0, down), 'Reconciling');
  assert.equal(story.changesInMs, 120_000, 'the time at which this changes is known');
  assert.equal(story.after(100, down), 'Reconciling');
  assert.equal(story.changesInMs, 20_000);
  assert.equal(story.after(20, down), 'Stalled TimedOut');
  assert.equal(story.changesInMs, undefined);
  assert.equal(story.after(1_000, down), 'Stalled TimedOut');
  assert.equal(story.after(1, up), 'neither');
});

test('an outage after it was ready is neither, however long', () => {
  const story = new Story();
  story.after(0, down);
  assert.equal(story.after(5, up), 'neither');
  assert.equal(story.after(5, down), 'neither');
  assert.equal(story.after(10_000, down), 'neither');
  assert.equal(story.after(1, up), 'neither');
});

test('a permanent code stalls at once, also after it was ready, and until it is ready again', () => {
  const story = new Story();
  assert.equal(story.after(0, denied), 'Stalled AuthenticationFailed');
  assert.equal(story.after(10, up), 'neither');
  assert.equal(story.after(10, denied), 'Stalled AuthenticationFailed');
  assert.equal(story.after(10, up), 'neither');
});

test('what follows a permanent failure has 120 s of its own: a key that was wrong for an hour and is right now has not timed out', () => {
  const story = new Story();
  story.after(0, up);
  assert.equal(story.after(10, denied), 'Stalled AuthenticationFailed');
  const starting = { tunnels: [lostTunnel()] };
  assert.equal(story.after(3_600, starting), 'Reconciling');
  assert.equal(story.changesInMs, 120_000);
  assert.equal(story.after(119, down), 'Reconciling');
  assert.equal(story.after(1, down), 'Stalled TimedOut');
  assert.equal(story.after(1, up), 'neither');
});

test('an edit during a failure starts the 120 s anew', () => {
  const story = new Story();
  assert.equal(story.after(0, denied), 'Stalled AuthenticationFailed');
  const replacing = { tunnels: [lostTunnel(failing('AuthenticationFailed'), 'a', 'old')] };
  assert.equal(story.edit().after(500, replacing), 'Reconciling');
  assert.equal(story.changesInMs, 120_000);
  assert.equal(story.after(119, down), 'Reconciling');
  assert.equal(story.after(1, down), 'Stalled TimedOut');
});

test('an edit while it is reconciling starts the 120 s anew, once', () => {
  const story = new Story();
  assert.equal(story.after(0, down), 'Reconciling');
  assert.equal(story.edit().after(100, down), 'Reconciling');
  assert.equal(story.changesInMs, 120_000);
  assert.equal(story.after(100, down), 'Reconciling');
  assert.equal(story.changesInMs, 20_000);
  assert.equal(story.after(20, down), 'Stalled TimedOut');
});

test('an edit that keeps the tunnel ready is never in progress', () => {
  const story = new Story();
  story.after(0, up);
  assert.equal(story.edit().after(10, up), 'neither');
});

test('resuming starts the 120 s anew', () => {
  const story = new Story();
  const suspended = { portForward: portForward({ suspend: true }), tunnels: [] };
  assert.equal(story.after(0, suspended), 'neither');
  assert.equal(story.edit().after(5_000, { tunnels: [] }), 'Reconciling');
  assert.equal(story.after(10, up), 'neither');
});

test('a conflict that is resolved starts the 120 s again', () => {
  const story = new Story();
  const conflict = { obstacle: { reason: 'ResourceConflict', message: 'x' }, tunnels: [] };
  assert.equal(story.after(0, conflict), 'Stalled ResourceConflict');
  assert.equal(story.after(5_000, { tunnels: [] }), 'Reconciling');
  assert.equal(story.after(119, { tunnels: [] }), 'Reconciling');
});

test('a rollout is progress while the older pods carry, until Kubernetes calls it stuck', () => {
  const story = new Story();
  story.after(0, up);
  const older = readyTunnel(carrying, 'a', 'old');
  const rolling = { deployment: deployment(1, { replicas: 2, updatedReplicas: 1 }), tunnels: [older] };
  assert.equal(story.edit().after(1, rolling), 'Reconciling');
  assert.equal(story.after(500, rolling), 'Reconciling', 'a long rollout is no failure');
  assert.equal(story.after(1, up), 'neither');
});

test('a blip during a long rollout starts the 120 s, and one after it is an outage as any', () => {
  const story = new Story();
  story.after(0, up);
  const progressing = deployment(3, { replicas: 4, updatedReplicas: 1 });
  const older = readyTunnel(carrying, 'a', 'old');
  assert.equal(story.edit().after(1, { deployment: progressing, tunnels: [older] }), 'Reconciling');
  const blip = { deployment: progressing, ...down };
  assert.equal(story.after(500, blip), 'Reconciling');
  assert.equal(story.changesInMs, 120_000);
  assert.equal(story.after(5, { deployment: progressing, tunnels: [older] }), 'Reconciling');
  assert.equal(story.after(500, blip), 'Reconciling');
  assert.equal(story.after(120, blip), 'Stalled TimedOut');
  assert.equal(story.after(1, up), 'neither');
  assert.equal(story.after(1, down), 'neither');
});

test('a rollout to another destination is progress until Kubernetes calls it stuck, however many pods there are', () => {
  const ports = [{ name: 'postgres', destination: 'old.db.internal:5432', reachable: true }];
  const tunnels = [readyTunnel({ ...carrying, ports }, 'a', 'old'), lostTunnel(failing('BastionTimeout'), 'b')];
  const progressing = { replicas: 21, updatedReplicas: 7 };
  const story = new Story();
  story.after(0, up);
  assert.equal(story.edit().after(1, { deployment: deployment(20, progressing), tunnels }), 'Reconciling');
  assert.equal(story.after(500, { deployment: deployment(20, progressing), tunnels }), 'Reconciling');
  const conditions = [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }];
  const stuck = deployment(20, { ...progressing, conditions });
  assert.equal(story.after(1, { deployment: stuck, tunnels }), 'Stalled BastionTimeout');
});

test('a pod that is missing after the rollout was complete is none', () => {
  const story = new Story();
  story.after(0, up);
  const conditions = [{ type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' }];
  const evicted = deployment(2, { replicas: 1, updatedReplicas: 1, conditions });
  assert.equal(story.after(1, { ...up, deployment: evicted }), 'neither');
  assert.equal(story.after(1, { ...down, deployment: evicted }), 'neither');
});

test('while the API server fails, the 120 s go on, and do not begin again when it is back', () => {
  const obstacle = { reason: 'ApiServerError', message: 'no answer' };
  const story = new Story();
  assert.equal(story.after(0, { obstacle, tunnels: [] }), 'Reconciling');
  assert.equal(story.after(60, { obstacle, tunnels: [] }), 'Reconciling');
  assert.equal(story.after(1, down), 'Reconciling');
  assert.equal(story.changesInMs, 59_000);
  assert.equal(story.after(59, { obstacle, ...down }), 'Stalled TimedOut');
  assert.equal(story.after(1, up), 'neither');
  assert.equal(story.after(1, { obstacle, ...up }), 'Reconciling');
  assert.equal(story.after(1, up), 'neither');
});

test('what the API server does not write of an edit while it rests is progress', () => {
  const obstacle = { reason: 'ApiServerError', message: 'no answer' };
  const suspended = { portForward: portForward({ suspend: true }), tunnels: [] };
  const story = new Story();
  assert.equal(story.after(0, { obstacle, ...suspended }), 'Reconciling');
  assert.equal(story.after(1, suspended), 'neither');
});

test('a Deployment that has not been looked at is progress', () => {
  const story = new Story();
  story.after(0, up);
  assert.equal(story.after(1, { ...up, deployment: deployment(1, { observedGeneration: 1 }) }), 'Reconciling');
  assert.equal(story.after(1, up), 'neither');
});

test('a rollout after the API server failed has its own 120 s', () => {
  const story = new Story();
  const unwritten = { ...down, obstacle: { reason: 'ApiServerError', message: 'a webhook does not answer' } };
  story.after(0, up);
  story.after(60, down);
  assert.equal(story.after(1, unwritten), 'Reconciling');
  assert.equal(story.after(600, unwritten), 'Reconciling');
  const rolling = { ...down, deployment: deployment(1, { updatedReplicas: 0 }) };
  assert.equal(story.after(1, rolling), 'Reconciling');
  assert.equal(story.changesInMs, 120_000);
  assert.equal(story.after(119, rolling), 'Reconciling');
  assert.equal(story.after(1, rolling), 'Stalled TimedOut');
});
