// The objects of many tunnels with two pods each, as an API server has them. Neighbour: memory-process.ts serves them.
import { type ChildName, desiredChildren } from '../../../../../src/controller/children/index.ts';
import { childName, templateAnnotation } from '../../../../../src/controller/children/names.ts';
import { withAppliedHash } from '../../../../../src/controller/kube/apply/apply.ts';
import { computeStatus } from '../../../../../src/controller/status/status.ts';
import { portForward, tunnelSettings } from '../../portforwards.ts';
import { observation, readyTunnel } from '../../status/observed.ts';

const hash = 'portforward.dev/applied';
const settings = tunnelSettings();
const created = '2026-01-01T00:00:00Z';

const uid = (kind: number): string => `${String(kind).padStart(8, '0')}-2222-4333-8444-${index}`;

const children: Readonly<Record<string, ChildName | undefined>> = {
  serviceaccounts: 'serviceAccount',
  networkpolicies: 'networkPolicy',
  services: 'service',
  deployments: 'deployment',
  poddisruptionbudgets: 'podDisruptionBudget',
};
const plurals = ['portforwards', 'replicasets', 'pods', ...Object.keys(children)];

/** Stands for the number of a tunnel: to make each anew would take seconds. */
const index = 'nnnnnnnnnnnn';

/** What the API server lists of this kind for each of so many tunnels, as JSON. */
export function* objectsOfTunnels(plural: string, count: number): Generator<string> {
  const texts = objectsOfTunnel(plural).map((object) => JSON.stringify(object));
  for (let number = 0; number < count; number++) {
    for (const text of texts) yield text.replaceAll(index, String(number).padStart(index.length, '0'));
  }
}

function objectsOfTunnel(plural: string): readonly object[] {
  const document = portForward({ replicas: 2 }, { name: tunnel, uid: uid(1) });
  const identity = (name: string, resourceVersion = '9') => ({
    namespace: document.metadata.namespace,
    name,
    uid: uid(plurals.indexOf(plural) + 2),
    resourceVersion,
    creationTimestamp: created,
  });
  if (plural === 'portforwards') {
    const seen = observation({
      tunnels: [readyTunnel(undefined, podName(0)), readyTunnel(undefined, podName(1))],
    });
    return [{ ...document, status: computeStatus(document, seen, new Date(created)).status }];
  }
  if (plural === 'replicasets') return [{ metadata: { ...identity(setName), ownerReferences: [deployment] } }];
  if (plural === 'pods') return [0, 1].map((at) => podOf(at, identity(podName(at))));
  const name = children[plural];
  const child = name && desiredChildren(document, settings, true)[name];
  if (child === undefined) return [];
  const applied = withAppliedHash(child, document, hash);
  return [{ ...applied, metadata: { ...applied.metadata, ...identity(child.metadata.name) } }];
}

const tunnel = `orders-db-${index}`;
const setName = `${childName({ metadata: { name: tunnel } })}-7d9f8b6c5d`;
const podName = (at: number): string => `${setName}-abcd${at}`;

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: childName({ metadata: { name: tunnel } }),
  uid: uid(plurals.indexOf('deployments') + 2),
  controller: true,
  blockOwnerDeletion: true,
};

function podOf(at: number, metadata: object): object {
  const ready = (type: string) => ({ type, status: 'True', lastTransitionTime: created });
  return {
    metadata: {
      ...metadata,
      uid: uid(20 + at),
      labels: { 'portforward.dev/name': tunnel, 'app.kubernetes.io/managed-by': 'portforward' },
      annotations: { [templateAnnotation]: '0123456789abcdef' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: setName,
          uid: uid(3),
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: `fd00::${at}:${index}`,
      conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(ready),
      containerStatuses: [
        {
          name: 'tunnel',
          image: 'registry.example/portforward:1.0.0',
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: created } },
          lastState: {},
        },
      ],
    },
  };
}
