// The ServiceAccount of a tunnel's pods: no token, no rights, only a name that cloud identities can be bound to. Pure.
// Absent where spec.pod.serviceAccountName names another.

import type { ValidPortForward } from '../base/portforward.ts';
import type { DriverPlan } from '../drivers/driver-plan.ts';
import type { ServiceAccount } from '../kube/base/resources.ts';
import { childMetadata, childName } from './names.ts';

export function serviceAccount(portForward: ValidPortForward, plan: DriverPlan): ServiceAccount | undefined {
  if (portForward.spec.pod?.serviceAccountName !== undefined) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: childMetadata(portForward, childName(portForward), {}, plan.serviceAccountAnnotations),
    automountServiceAccountToken: false,
  };
}
