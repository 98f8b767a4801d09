// What an administrator would allow the tunnel of a test: the addresses that its own config names, and nothing else.
import { noPermissions, type Permissions } from '../../src/contract/permissions.ts';
import type { TunnelConfig } from '../../src/contract/tunnel-config.ts';

export function permissionsFor(config: TunnelConfig): Permissions {
  if (config.driver !== 'ssm') return noPermissions;
  const awsEndpoints = Object.values(config.ssm.endpoints).filter((endpoint) => endpoint !== '');
  return { ...noPermissions, awsEndpoints: [...new Set(awsEndpoints)] };
}
