// The pods of a tunnel through AWS Session Manager: whose identity they have at AWS, and how they get there. The tunnel config says the rest.
// Neighbours: index.ts (the table), ../children/service-account.ts and ../children/pod.ts use the plan.
import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from './driver-plan.ts';

/** What EKS reads on a ServiceAccount to give its pods a web identity. */
const roleAnnotation = 'eks.amazonaws.com/role-arn';

export function planSsm({ ssm }: PortForwardSpec, settings: TunnelSettings): DriverPlan {
  const { allowNodeRole, httpsProxy, noProxy, caBundle } = settings;
  if (ssm === undefined) throw new TypeError('spec.ssm is not set');
  return {
    environment: [
      { name: 'AWS_REGION', value: ssm.region },
      // The node's role is everybody's on that node: a tunnel must not borrow it unless an administrator said so.
      ...(allowNodeRole ? [] : [{ name: 'AWS_EC2_METADATA_DISABLED', value: 'true' }]),
      ...(httpsProxy === '' ? [] : [{ name: 'HTTPS_PROXY', value: httpsProxy }]),
      ...(noProxy === '' ? [] : [{ name: 'NO_PROXY', value: noProxy }]),
    ],
    caBundle,
    serviceAccountAnnotations: ssm.irsaRoleArn === '' ? {} : { [roleAnnotation]: ssm.irsaRoleArn },
  };
}
