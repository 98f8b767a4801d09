// A tunnel container that is killed leaves its sessions at AWS, each with a worker on the node, until their idle timeout. The next container
// of the same pod ends them, and nobody else's. Neighbours: ../integration/sidecar/pod.ts (the process), ssm-tunnel.ts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { echo, type Service, serve } from '../driver-suite/destinations.ts';
import { type Pod, startPod } from '../integration/sidecar/pod.ts';
import { ssmTunnelConfig } from '../integration/sidecar/sidecar-world.ts';
import { SecretDirectory } from '../integration/ssh/ssh-world.ts';
import { SessionManager } from '../support/ssm/session-manager.ts';
import { judge } from './budget.ts';
import { keyFiles } from './ssm-tunnel.ts';

let service: SessionManager;
let destinations: readonly Service[];
let secret: SecretDirectory;

before(async () => {
  service = await SessionManager.start();
  destinations = [await serve(echo), await serve(echo)];
  secret = new SecretDirectory(keyFiles(service.credentials));
});

after(async () => {
  for (const destination of destinations) await destination.stop();
  await service.stop();
  secret[Symbol.dispose]();
});

async function readyPod(podUid: string): Promise<Pod> {
  const forwards = destinations.map(({ port }) => ({ port }));
  const pod = await startPod(ssmTunnelConfig(service, secret, { forwards }), podUid);
  await eventually(`${podUid} ready`, async () => (await pod.readiness()).status === 200, 60_000);
  return pod;
}

/** Ids of the sessions that were started for the pod. */
async function sessionsOf(podUid: string): Promise<readonly string[]> {
  const { sessions } = await service.seen();
  return sessions
    .filter(({ reason }) => reason === `portforward/test/orders-db/${podUid}`)
    .map(({ id }) => id)
    .toSorted();
}

/** One for each destination. An attempt that was slow is joined by another, and the loser's session is ended a little later. */
async function ownSessionsOf(podUid: string): Promise<readonly string[]> {
  let found: readonly string[] = [];
  await eventually(`${podUid} has two sessions, no more`, async () => {
    found = await sessionsOf(podUid);
    return found.length === 2;
  });
  return found;
}

test('a container killed in the middle: its pod’s next one ends what it left, and no sibling’s session', async (t) => {
  const pods = [await readyPod('uid-killed'), await readyPod('uid-sibling')];
  try {
    const [left, sibling] = [await ownSessionsOf('uid-killed'), await ownSessionsOf('uid-sibling')];
    await pods[0]?.child.kill();
    await delay(1_000);
    assert.deepEqual(await sessionsOf('uid-killed'), left, 'killed, it said no goodbye');
    const from = performance.now();
    pods.push(await readyPod('uid-killed'));
    await eventually('the leftovers are ended', async () =>
      (await sessionsOf('uid-killed')).every((id) => !left.includes(id)),
    );
    judge(t, 'from the start of the next container to the end of the leftovers', performance.now() - from, 10_000);
    const own = await ownSessionsOf('uid-killed');
    await delay(2_000);
    assert.deepEqual(await sessionsOf('uid-sibling'), sibling);
    assert.deepEqual(await sessionsOf('uid-killed'), own, 'its own sessions stay');
    for (const pod of pods) assert.equal(pod.child.end === undefined ? (await pod.readiness()).status : 200, 200);
  } finally {
    for (const pod of pods) await pod.child.kill();
  }
});
