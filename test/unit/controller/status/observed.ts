// Observations for the tests of this folder: a healthy tunnel, and what may be wrong with it.
import type { TunnelStatus } from '../../../../src/contract/tunnel-status.ts';
import { desiredChildren } from '../../../../src/controller/children/index.ts';
import { templateAnnotation } from '../../../../src/controller/children/names.ts';
import type { Deployment, Pod } from '../../../../src/controller/kube/base/resources.ts';
import type { Observation } from '../../../../src/controller/status/conditions.ts';
import { type ObservedTunnel, observeTunnel, type Reading } from '../../../../src/controller/status/observed-tunnel.ts';
import { portForward, tunnelSettings } from '../portforwards.ts';

export const template = 'present';

export function pod(status: NonNullable<Pod['status']> = {}, name = 'pf-orders-db-abc-1', madeFrom = template): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid: name, annotations: { [templateAnnotation]: madeFrom } },
    status: { phase: 'Running', podIP: '127.0.0.1', ...status },
  };
}

export const readyStatus = { conditions: [{ type: 'Ready', status: 'True' }] };

/** Started, but not ready. */
export const runningStatus = {
  containerStatuses: [
    {
      name: 'tunnel',
      image: 'i',
      imageID: '',
      ready: false,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
    },
  ],
};

export const carrying: TunnelStatus = {
  version: 1,
  state: 'Connected',
  since: '2026-01-01T00:00:00Z',
  via: 'bastion.example.com:22',
  ports: [{ name: 'postgres', reachable: true }],
};

export const failing = (reason: string, message = `it says ${reason}`): TunnelStatus => ({
  version: 1,
  state: 'Failed',
  since: '2026-01-01T00:00:00Z',
  reason,
  message,
  ports: [{ name: 'postgres', reachable: null }],
});

const read = (status: TunnelStatus | undefined): Reading | undefined =>
  status === undefined ? undefined : { status, unreadable: undefined };

/** A ready pod and what it says. */
export const readyTunnel = (
  status: TunnelStatus | undefined = carrying,
  name?: string,
  madeFrom?: string,
): ObservedTunnel => observeTunnel(pod(readyStatus, name, madeFrom), read(status), template);

/** A pod that is not ready, and what it says. */
export const lostTunnel = (status?: TunnelStatus, name?: string, madeFrom?: string): ObservedTunnel =>
  observeTunnel(pod(status === undefined ? {} : runningStatus, name, madeFrom), read(status), template);

export const unreadableTunnel = (ready: boolean, name?: string): ObservedTunnel =>
  observeTunnel(
    pod(ready ? readyStatus : runningStatus, name),
    {
      status: undefined,
      unreadable: 'the status of pod x cannot be read from http://10.0.0.1:9808: no answer in time',
    },
    template,
  );

/** The Deployment after `replicas` pods of the present template are there; `status` may say otherwise. */
export function deployment(replicas = 1, status: Deployment['status'] = {}): Deployment {
  const desired = desiredChildren(portForward({ replicas }), tunnelSettings(), true).deployment;
  return {
    ...desired,
    metadata: { ...desired.metadata, generation: 2 },
    status: { observedGeneration: 2, replicas, updatedReplicas: replicas, ...status },
  };
}

/** All is well, but for what is given. */
export const observation = (more: Partial<Observation> = {}): Observation => ({
  portForward: portForward({ replicas: 1 }),
  refusal: undefined,
  obstacle: undefined,
  deployment: deployment(1),
  tunnels: [readyTunnel()],
  ...more,
});
