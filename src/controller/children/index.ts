// (PortForward, settings) → every object that must exist for it. Pure: the same input gives the same objects, whatever the cluster holds.
// Neighbours: reconcile.ts (applies them and deletes what is no longer here).

import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';
import { planDriver } from '../drivers/index.ts';
import type {
  Deployment,
  NetworkPolicy,
  PodDisruptionBudget,
  Service,
  ServiceAccount,
} from '../kube/base/resources.ts';
import { checkAllowed } from './acceptance.ts';
import { deployment } from './deployment.ts';
import { installOf, marked } from './install.ts';
import { networkPolicy } from './network-policy.ts';
import { podDisruptionBudget } from './pod-disruption-budget.ts';
import { service } from './service.ts';
import { serviceAccount } from './service-account.ts';

/** The desired object of each kind, in the order in which they are applied; undefined: none must exist. */
export interface Children {
  readonly serviceAccount: ServiceAccount | undefined;
  readonly networkPolicy: NetworkPolicy;
  readonly service: Service;
  readonly deployment: Deployment;
  readonly podDisruptionBudget: PodDisruptionBudget | undefined;
}

export type ChildName = keyof Children;

/** @throws TunnelError of layer `document` when the document cannot be acted on. */
export function desiredChildren(
  portForward: ValidPortForward,
  settings: TunnelSettings,
  anyPodReady: boolean,
): Children {
  checkAllowed(portForward, settings);
  const plan = planDriver(portForward.spec, settings);
  const account = serviceAccount(portForward, plan);
  const budget = podDisruptionBudget(portForward);
  const install = installOf(settings);
  return {
    serviceAccount: account && marked(account, install),
    // Before the pods that it guards.
    networkPolicy: marked(networkPolicy(portForward, settings), install),
    service: marked(service(portForward, anyPodReady), install),
    deployment: marked(deployment(portForward, plan, settings), install),
    podDisruptionBudget: budget && marked(budget, install),
  };
}
