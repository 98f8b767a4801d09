// What the chart's own test finds, asked by the account and with the rights that the chart gives it: an install that works, and each way in
// which one does not.
// Neighbours: test/cluster/release.test.ts (helm test itself, in a pod); chart.test.ts (the pod's form).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { checkInstall, type Finding } from '../../../src/controller/install-check.ts';
import { leases } from '../../../src/controller/kube/base/resources.ts';
import { type RealApi, startRealApi } from '../kube/real-api.ts';
import { namespace, renderTests, renderText } from './chart.ts';

const account = 'system:serviceaccount:portforward-system:portforward-test';
const lease = { namespace, name: 'portforward' };
const stop = new AbortController();

let api: RealApi;

before(async () => {
  api = await startRealApi();
  const { server } = api;
  await server.kubectl(['create', 'namespace', namespace]);
  await server.kubectl(['apply', '--server-side', '--filename', '-'], { input: await renderText() });
  // The hooks without the pod, which needs a node.
  const rights = (await renderTests()).filter(({ kind }) => kind !== 'Pod');
  await server.kubectl(['apply', '--filename', '-'], {
    input: rights.map((each) => JSON.stringify(each)).join('\n---\n'),
  });
  await api.server.untilServed('portforwards.portforward.dev');
  // The API server acts on definition, rights and policies a moment after they are stored.
  await eventually('nothing but a leader is missing', async () => (await faults(0)).length === 1, 60_000);
});
after(async () => {
  stop.abort(new Error('the test is over'));
  await api?.[Symbol.asyncDispose]();
});

/** The bad findings of a check that gives up after `patienceMs`. */
async function faults(patienceMs: number): Promise<string[]> {
  const found: Finding[] = [];
  const { transport, kube } = api.as(account);
  const onFinding = (finding: Finding): void => void found.push(finding);
  const options = { transport, kube, lease, namespace, className: '', judgesReferences: true, onFinding, patienceMs };
  const good = await checkInstall(options, stop.signal);
  assert.equal(found.length, 5);
  assert.equal(
    good,
    found.every(({ ok }) => ok),
  );
  return found.filter(({ ok }) => !ok).map(({ sentence }) => sentence);
}

/** Renews the Lease as a leader does, until it is disposed of. */
async function lead(holderIdentity: string): Promise<AsyncDisposable> {
  const { kube } = api.admin;
  const renew = async (): Promise<void> => {
    const spec = { holderIdentity, leaseDurationSeconds: 15, renewTime: new Date().toISOString().replace('Z', '000Z') };
    await kube.mergePatch(leases, lease, { spec }, { signal: stop.signal });
  };
  const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: lease };
  await kube.apply(leases, object, { signal: stop.signal, fieldManager: 'test' });
  await renew();
  let renewing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    renewing = renewing.then(renew);
  }, 500);
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await renewing;
    },
  };
}

test('before anybody leads it says so, and once a controller renews the Lease all is well', async () => {
  assert.deepEqual(await faults(0), ['no controller leads: there is no Lease portforward-system/portforward']);
  await using _ = await lead('portforward-0_f3');
  assert.deepEqual(await faults(60_000), []);
});

test('a Lease that nobody renews is no leader, whatever its times say', async () => {
  await (await lead('portforward-0_f3'))[Symbol.asyncDispose]();
  const renewTime = new Date(Date.now() + 3_600_000).toISOString().replace('Z', '000Z');
  await api.admin.kube.mergePatch(leases, lease, { spec: { renewTime } }, { signal: stop.signal });
  assert.deepEqual(await faults(0), [
    `no controller leads: the Lease portforward-system/portforward was last renewed at ${renewTime}`,
  ]);
});

test('without the policy on references, a document that names a Secret is accepted: that is a fault', async () => {
  await using _ = await lead('portforward-0_f3');
  const binding = ['validatingadmissionpolicybinding', 'portforward-system-portforward-references'];
  const stored = await api.server.kubectl(['get', ...binding, '--output', 'yaml']);
  await api.server.kubectl(['delete', ...binding]);
  const told = await faultsOnce(/no policy on references acts/);
  assert.equal(told.length, 1);
  await api.server.kubectl(['apply', '--filename', '-'], {
    input: stored.replace(/^ {2}(uid|resourceVersion):.*\n/gm, ''),
  });
  assert.deepEqual(await faults(60_000), []);
});

test('a definition of an earlier version is named with the fields that it lacks', async () => {
  await using _ = await lead('portforward-0_f3');
  const path = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/access';
  const patch = (operation: string): Promise<string> =>
    api.server.kubectl(['patch', 'crd', 'portforwards.portforward.dev', '--type=json', '--patch', operation]);
  await patch(JSON.stringify([{ op: 'remove', path }]));
  const told = await faultsOnce(/older than this install: it lacks spec\.access, spec\.access\./);
  assert.equal(told.length, 1, told.join('\n'));
});

/** The API server acts on changed definitions and policies a moment later. */
async function faultsOnce(pattern: RegExp): Promise<string[]> {
  let told: string[] = [];
  await eventually(
    `one is ${pattern}`,
    async () => {
      told = await faults(0);
      return told.some((sentence) => pattern.test(sentence));
    },
    60_000,
  );
  return told;
}
