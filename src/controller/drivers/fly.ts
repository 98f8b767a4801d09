// The pods of a tunnel into a private network of fly.io: the proxy on their way to its API and gateways, and a folder in memory for the
// peer's key and the helper's socket. The tunnel config says the rest.
// Neighbours: index.ts (the table), ../children/pod.ts uses the plan.
import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import { noPermissions } from '../../contract/permissions.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from './driver-plan.ts';

export function planFly(_spec: PortForwardSpec, settings: TunnelSettings): DriverPlan {
  const { flyApiUrl, httpsProxy, noProxy, caBundle } = settings;
  return {
    environment: [
      ...(httpsProxy === '' ? [] : [{ name: 'HTTPS_PROXY', value: httpsProxy }]),
      ...(noProxy === '' ? [] : [{ name: 'NO_PROXY', value: noProxy }]),
    ],
    caBundle,
    serviceAccountAnnotations: {},
    permissions: { ...noPermissions, flyApiUrl },
    memoryFolder: true,
  };
}
