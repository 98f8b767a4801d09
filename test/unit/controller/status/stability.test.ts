// A status that is computed again from the same observation is the same: nothing is written while nothing changes, whatever was before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PortForwardStatus } from '../../../../src/contract/api/status.ts';
import type { TunnelStatus } from '../../../../src/contract/tunnel-status.ts';
import type { Observation } from '../../../../src/controller/status/conditions.ts';
import { computeStatus } from '../../../../src/controller/status/status.ts';
import { portForward } from '../portforwards.ts';
import { carrying, deployment, failing, lostTunnel, observation, readyTunnel, unreadableTunnel } from './observed.ts';

const result = (reachable: boolean | null, more: object = {}): TunnelStatus => ({
  ...carrying,
  ports: [{ name: 'postgres', reachable, ...more }],
});

const tunnelKinds = [
  readyTunnel,
  (_: TunnelStatus, name: string) => readyTunnel(undefined, name),
  (_: TunnelStatus, name: string) => lostTunnel(failing('BastionTimeout'), name),
  (_: TunnelStatus, name: string) => lostTunnel(failing('AuthenticationFailed'), name),
  (_: TunnelStatus, name: string) => unreadableTunnel(true, name),
  (_: TunnelStatus, name: string) => unreadableTunnel(false, name),
];
const said = [
  result(true),
  result(null),
  result(false, { reason: 'DestinationRefused', message: 'refused' }),
  result(true, { destination: 'old.internal:5432' }),
  { ...result(null), state: 'Idle' } as const,
];
const problems = ['ApiServerError', 'Forbidden', 'ResourceConflict', 'Progressing', 'QuotaExceeded'];
const deployments = [
  undefined,
  deployment(1),
  deployment(1, { observedGeneration: 1 }),
  deployment(3, { updatedReplicas: 1 }),
  deployment(3, { updatedReplicas: 1, conditions: [{ type: 'Progressing', status: 'False', reason: 'stuck' }] }),
];

const observations: fc.Arbitrary<Observation> = fc
  .record({
    spec: fc.constantFrom<object>(
      {},
      { replicas: 0 },
      { suspend: true },
      { connection: { mode: 'OnDemand' } },
      { healthCheck: { destination: 'Off' } },
    ),
    refused: fc.option(fc.constantFrom('InvalidSpec', 'AnnotationNotAllowed'), { freq: 4 }),
    obstacle: fc.option(fc.constantFrom(...problems), { freq: 1 }),
    deployment: fc.constantFrom(...deployments),
    tunnels: fc.array(fc.tuple(fc.constantFrom(...tunnelKinds), fc.constantFrom(...said)), { maxLength: 3 }),
  })
  .map(({ spec, refused, obstacle, tunnels, ...rest }) =>
    observation({
      ...rest,
      portForward: portForward({ replicas: 1, ...spec }),
      refusal: refused === null ? undefined : { reason: refused, message: 'it is refused' },
      obstacle: obstacle === null ? undefined : { reason: obstacle, message: 'it is not written' },
      tunnels: tunnels.map(([kind, status], index) => kind(status, `pod-${index}`)),
    }),
  );
const steps = fc.array(fc.tuple(observations, fc.nat(60_000), fc.boolean()), { minLength: 1, maxLength: 6 });

test('the same observation gives the same status, after any story', () => {
  fc.assert(
    fc.property(steps, (story) => {
      let status: PortForwardStatus | undefined;
      let at = Date.parse('2026-01-01T00:00:00Z');
      let generation = 3;
      for (const [seen, ms, isEdited] of story) {
        at += ms;
        if (isEdited) generation += 1;
        const compute = (before: PortForwardStatus | undefined, time: number) =>
          computeStatus(
            { ...portForward({}, { generation }), ...(before && { status: before }) },
            seen,
            new Date(time),
          );
        const first = compute(status, at);
        status = first.status;
        if (first.changesInMs !== undefined && first.changesInMs <= 1_500) continue;
        assert.deepEqual(compute(status, at + 1_500).status, status);
      }
    }),
    { numRuns: 2_000 },
  );
});
