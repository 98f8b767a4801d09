// Which function plans the pods of which driver: a table and nothing else. A driver that the tunnel config knows and this table does not,
// does not compile.
import { driverOf } from '../../contract/api/effective.ts';
import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import { TunnelError } from '../../contract/errors.ts';
import type { DriverName } from '../../contract/tunnel-config.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { DriverPlan } from './driver-plan.ts';
import { planSsm } from './ssm.ts';

const drivers: { readonly [Name in DriverName]: (spec: PortForwardSpec, settings: TunnelSettings) => DriverPlan } = {
  ssh: () => ({ environment: [], caBundle: '', serviceAccountAnnotations: {} }),
  ssm: planSsm,
};

/** What the spec's driver block means for its pods. @throws TunnelError DriverNotAvailable. */
export function planDriver(spec: PortForwardSpec, settings: TunnelSettings): DriverPlan {
  const name = driverOf(spec);
  if (!Object.hasOwn(drivers, name)) {
    throw new TunnelError('DriverNotAvailable', `spec.${name}: this version of the operator has no ${name} driver`);
  }
  return drivers[name as DriverName](spec, settings);
}
