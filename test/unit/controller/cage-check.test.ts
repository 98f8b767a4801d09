// An operator that no policy restricts notices it: asked in dry runs, told once, and not because the API server was away or policies are young.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { cageAttempts } from '../../../src/controller/cage-attempts.ts';
import { CageCheck } from '../../../src/controller/cage-check.ts';
import { ApiError, ApiUnreachable } from '../../../src/controller/kube/base/api-error.ts';
import type { KubeObject, Resource } from '../../../src/controller/kube/base/object.ts';
import { isRefusedBy } from '../../../src/controller/kube/base/policy-refusal.ts';
import type { EventInput } from '../../../src/controller/kube/events/events.ts';
import type { Kube } from '../../../src/controller/kube/rest/kube.ts';
import { uncagedGauge } from '../../../src/controller/metrics.ts';
import { createLog } from '../../../src/process/log.ts';
import { Registry } from '../../../src/process/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const install = 'portforward-system-portforward';
const minute = 60_000;

function settings(...flags: readonly string[]) {
  return readSettings(
    [
      '--tunnel-image=example.com/portforward:1',
      `--admission-policies=${install}`,
      '--pod-name=portforward-0',
      ...flags,
    ],
    { POD_NAMESPACE: 'portforward-system', POD_UID: 'u-0' },
  );
}

const refusal = (policy: string): ApiError =>
  new ApiError('POST x', 403, {
    reason: 'Forbidden',
    message: `x is forbidden: ValidatingAdmissionPolicy '${policy}' with binding '${policy}' denied request: no`,
  });

/** Answers of the API server, by policy of the attempt; a policy that has none is refused as it should be. */
function rig({ flags = [] as readonly string[] } = {}) {
  const clock = new FakeClock();
  const registry = new Registry();
  const uncaged = uncagedGauge(registry);
  const lines: { level: string; msg: string }[] = [];
  const log = createLog({
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line) as { level: string; msg: string }) },
  });
  const events: EventInput[] = [];
  const answers = new Map<string, 'admitted' | Error>();
  const asked: string[] = [];
  const given = settings(...flags);
  const attempts = cageAttempts(given.tunnel, new Date(0));
  const create = async (resource: Resource, object: KubeObject, call: { dryRun?: boolean }): Promise<KubeObject> => {
    assert.equal(call.dryRun, true);
    const owned = object.metadata.ownerReferences !== undefined;
    const { policy } =
      attempts.find(
        (each) => each.resource === resource && (each.object.metadata.ownerReferences !== undefined) === owned,
      ) ?? assert.fail(resource.plural);
    asked.push(policy);
    const answer = answers.get(policy) ?? refusal(`${install}-${policy}`);
    if (answer === 'admitted') return object;
    throw answer;
  };
  const check = new CageCheck({
    kube: { create: create as unknown as Kube['create'] },
    events: { record: (event) => void events.push(event) },
    settings: given,
    uncaged,
    log,
    clock,
  });
  const stop = new AbortController();
  let ended: Promise<void> | undefined;
  return {
    answers,
    asked,
    events,
    lines,
    /** The first call starts the check. */
    pass: (ms: number) => {
      ended ??= check.run(stop.signal);
      return clock.advance(ms);
    },
    end: async () => {
      stop.abort(new Error('the test is over'));
      await ended;
      assert.equal(clock.pending, 0);
    },
    series: async () =>
      Object.fromEntries((await uncaged.get()).values.map(({ labels, value }) => [String(labels.policy), value])),
  };
}

const policies = ['owned', 'pods', 'services', 'serviceaccounts', 'networkpolicies', 'budgets', 'events'];
const all = (value: number) => Object.fromEntries(policies.map((policy) => [policy, value]));

test('at start and every 10 minutes each policy must refuse a dry run; then nothing is told', async () => {
  const { asked, events, lines, pass, series, end } = rig();
  await pass(0);
  assert.deepEqual(asked, policies);
  await pass(9 * minute);
  assert.equal(asked.length, 7);
  await pass(minute);
  assert.equal(asked.length, 14);
  assert.deepEqual(await series(), all(0));
  assert.deepEqual([events, lines], [[], []]);
  await end();
});

test('what is admitted twice, a minute apart, is a log line, a metric and an Event of the own pod, again after an hour', async () => {
  const { answers, events, lines, pass, series, end } = rig();
  answers.set('pods', 'admitted').set('events', 'admitted');
  await pass(0);
  assert.deepEqual([events, lines], [[], []]);
  await pass(minute);
  assert.deepEqual(await series(), { ...all(0), pods: 1, events: 1 });
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [['warn', 'the API server admits what the admission policies of this install must refuse']],
  );
  assert.equal(events.length, 1);
  const [event] = events;
  assert.deepEqual(event?.regarding.metadata, { name: 'portforward-0', namespace: 'portforward-system', uid: 'u-0' });
  assert.deepEqual([event?.type, event?.reason], ['Warning', 'Uncaged']);
  assert.match(event?.note ?? '', /\(pods, events\)/);
  await pass(50 * minute);
  assert.equal(events.length, 1);
  await pass(11 * minute);
  assert.equal(events.length, 2);
  answers.clear();
  await pass(10 * minute);
  assert.deepEqual(await series(), all(0));
  assert.equal(lines.at(-1)?.msg, 'the admission policies of this install act again');
  assert.equal(events.length, 2);
  await end();
});

test('policies that are stored within a minute after the start are not missed', async () => {
  const { answers, events, lines, pass, series, end } = rig();
  for (const policy of policies) answers.set(policy, 'admitted');
  await pass(0);
  answers.clear();
  await pass(minute);
  assert.deepEqual(await series(), all(0));
  assert.deepEqual([events, lines], [[], []]);
  await end();
});

test('an API server that is away says nothing: asked again a minute later, and what was known stays', async () => {
  const { answers, asked, events, pass, series, end } = rig();
  const away = new ApiUnreachable('POST x', new Error('connect ECONNREFUSED'), false);
  for (const policy of policies) answers.set(policy, away);
  await pass(3 * minute);
  assert.equal(asked.length, 4 * 7);
  assert.deepEqual(await series(), {});
  answers.clear();
  answers.set('owned', 'admitted');
  await pass(2 * minute);
  assert.equal((await series())['owned'], 1);
  answers.set('owned', away);
  await pass(10 * minute);
  assert.equal((await series())['owned'], 1);
  assert.equal(events.length, 1);
  await end();
});

test('a refusal by anybody else is no answer, but a quota and a taken name are asked after the policies', async () => {
  const { answers, pass, series, end } = rig();
  answers.set(
    'owned',
    new ApiError('POST x', 403, { message: 'admission webhook "w.example.com" denied the request' }),
  );
  answers.set('pods', refusal('somebody-else-pods'));
  answers.set('services', new ApiError('POST x', 403, { message: 'services "x" is forbidden: exceeded quota: q' }));
  answers.set('budgets', new ApiError('POST x', 409, { reason: 'AlreadyExists' }));
  await pass(2 * minute);
  assert.deepEqual(await series(), { services: 1, serviceaccounts: 0, networkpolicies: 0, budgets: 1, events: 0 });
  await end();
});

test('an install without policies asks nothing', async () => {
  const { asked, pass, series, end } = rig({ flags: ['--admission-policies='] });
  await pass(20 * minute);
  assert.deepEqual([asked, await series()], [[], {}]);
  await end();
});

test('asked is where the controller may write: in a watched namespace, never in one of the system', () => {
  const where = (...flags: readonly string[]): unknown[] => [
    ...new Set(cageAttempts(settings(...flags).tunnel, new Date(0)).map(({ object }) => object.metadata.namespace)),
  ];
  assert.deepEqual(where(), ['default']);
  assert.deepEqual(where('--watch-namespaces=kube-system,shop,stock'), ['shop']);
  assert.deepEqual(where('--watch-namespaces=kube-system'), []);
});

test('a policy is one of the install by its name, also with Kustomize’s prefix and suffix', () => {
  for (const name of ['owned', 'owned-blue'].map((each) => `${install}-${each}`)) {
    assert.equal(isRefusedBy(refusal(name), install), true);
    assert.equal(isRefusedBy(refusal(`team-${name}`), install), true);
  }
  assert.equal(isRefusedBy(refusal('portforward-system-other-owned'), install), false);
  assert.equal(isRefusedBy(refusal(`${install}-owned`), ''), false);
  assert.equal(isRefusedBy(new Error(refusal(`${install}-owned`).message), install), false);
});
