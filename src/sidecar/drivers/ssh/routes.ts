// The order in which bastions are tried. Pure. Neighbour: driver.ts.
import { createHash } from 'node:crypto';
import { hostPort } from '../../../contract/ip-address.ts';
import type { Hop, SshConfig } from '../../../contract/tunnel-config.ts';
import type { Route } from '../../base/driver.ts';

/** One bastion, reached through the configured jump hosts. */
export interface SshRoute extends Route {
  readonly bastion: Hop;
}

/**
 * Ordered: as written. Spread: by a rendezvous hash. Pods then spread evenly over the bastions, each pod keeps its order when its process
 * restarts, and an added or removed bastion moves only its own share.
 */
export function orderRoutes(
  config: Pick<SshConfig, 'bastions' | 'bastionPolicy'>,
  podUid: string,
): readonly SshRoute[] {
  const routes = config.bastions.map((bastion) => ({ via: hostPort(bastion.host, bastion.port), bastion }));
  if (config.bastionPolicy === 'Ordered') return routes;
  const weight = (route: SshRoute) => createHash('sha256').update(`${podUid}\0${route.via}`).digest('hex');
  return routes
    .map((route) => ({ route, weight: weight(route) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : -1))
    .map(({ route }) => route);
}
