// The pods of a tunnel through AWS Session Manager: whose identity they have at AWS, and how they get there. The tunnel config says the rest.
// Neighbours: index.ts (the table), ../children/service-account.ts and ../children/pod.ts use the plan.

import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import { isSameOrigin } from '../../contract/aws-endpoint.ts';
import { noPermissions } from '../../contract/permissions.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from './driver-plan.ts';

/** What EKS reads on a ServiceAccount to give its pods a web identity. */
const roleAnnotation = 'eks.amazonaws.com/role-arn';

export function planSsm({ ssm }: PortForwardSpec, settings: TunnelSettings): DriverPlan {
  const { allowNodeRole, allowedAwsEndpoints, httpsProxy, noProxy, caBundle } = settings;
  if (ssm === undefined) throw new TypeError('spec.ssm is not set');
  return {
    environment: [
      { name: 'AWS_REGION', value: ssm.region },
      ...(httpsProxy === '' ? [] : [{ name: 'HTTPS_PROXY', value: httpsProxy }]),
      ...(noProxy === '' ? [] : [{ name: 'NO_PROXY', value: noProxy }]),
    ],
    permissions: {
      ...noPermissions,
      // The node's role is everybody's on that node: a tunnel must not borrow it unless an administrator said so.
      nodeRole: allowNodeRole && ssm.secretRef === undefined,
      // Only where the document names one: a change of the list replaces no other pods.
      awsEndpoints: namesOne(ssm.endpoints, allowedAwsEndpoints) ? allowedAwsEndpoints : [],
    },
    caBundle,
    serviceAccountAnnotations: ssm.irsaRoleArn === '' ? {} : { [roleAnnotation]: ssm.irsaRoleArn },
  };
}

const namesOne = (endpoints: Readonly<Record<string, string>> | undefined, origins: readonly string[]): boolean =>
  Object.values(endpoints ?? {}).some((endpoint) => origins.some((origin) => isSameOrigin(endpoint, origin)));
