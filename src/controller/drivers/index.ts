// Which function plans the pods of which driver: a table and nothing else. It does not compile without a row for every driver of the
// tunnel config.

import { driverOf } from '../../contract/api/effective.ts';
import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import { noPermissions } from '../../contract/permissions.ts';
import type { DriverName } from '../../contract/tunnel-config.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from './driver-plan.ts';
import { planFly } from './fly.ts';
import { planSsm } from './ssm.ts';

const drivers: { readonly [Name in DriverName]: (spec: PortForwardSpec, settings: TunnelSettings) => DriverPlan } = {
  ssh: ({ ssh }, { allowInsecureHostKeys }) => ({
    environment: [],
    permissions: {
      ...noPermissions,
      insecureHostKeys: allowInsecureHostKeys && ssh?.hostKeyPolicy === 'InsecureIgnore',
    },
    caBundle: '',
    serviceAccountAnnotations: {},
  }),
  ssm: planSsm,
  fly: planFly,
};

/** What the spec's driver block means for its pods. */
export function planDriver(spec: PortForwardSpec, settings: TunnelSettings): DriverPlan {
  return drivers[driverOf(spec)](spec, settings);
}
