// The Deployment of a tunnel: replaces pods make-before-break, at most one more than wanted at a time. Pure.
// Neighbours: pod.ts (its template), rollout-limiter.ts (reads the annotations that are set here).
import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from '../drivers/driver-plan.ts';
import { hashOf } from '../kube/base/hash.ts';
import type { Deployment, Pod } from '../kube/base/resources.ts';
import { childMetadata, childName, generationAnnotation, selectorLabels, templateAnnotation } from './names.ts';
import { type PodTemplate, podTemplate } from './pod.ts';

/** Kubernetes calls a rollout stuck after this long without progress, and so do we. */
const progressDeadlineSeconds = 120;

/** How many pods should run: none while suspended. */
export const wantedReplicas = ({ spec }: Pick<ValidPortForward, 'spec'>): number => (spec.suspend ? 0 : spec.replicas);

/** @throws TunnelError ConfigTooLarge. */
export function deployment(portForward: ValidPortForward, plan: DriverPlan, settings: TunnelSettings): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: childMetadata(
      portForward,
      childName(portForward),
      {},
      { [generationAnnotation]: String(portForward.metadata.generation ?? 0) },
    ),
    spec: {
      replicas: wantedReplicas(portForward),
      revisionHistoryLimit: 2,
      progressDeadlineSeconds,
      selector: { matchLabels: selectorLabels(portForward) },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: withTemplateHash(podTemplate(portForward, plan, settings)),
    },
  };
}

/** The template with its own hash on it, so that each pod shows which template it was created from. */
function withTemplateHash(template: PodTemplate): PodTemplate {
  const hash = hashOf(template);
  return {
    ...template,
    metadata: { ...template.metadata, annotations: { ...template.metadata?.annotations, [templateAnnotation]: hash } },
  };
}

/** The hash of the template of a Deployment or a pod; undefined if it is not ours. */
export const templateOf = (object: Deployment | Pod): string | undefined =>
  object.kind === 'Deployment'
    ? (object as Deployment).spec?.template.metadata?.annotations?.[templateAnnotation]
    : object.metadata.annotations?.[templateAnnotation];
