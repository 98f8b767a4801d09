// Which managed nodes a tunnel may go through, in which order. Every pod has its own order, by a hash of its UID, so that the replicas of a
// tunnel spread over the nodes and each keeps to its own. Neighbours: api.ts (asks AWS), driver.ts (routes are targets).
import { createHash } from 'node:crypto';
import { TunnelError } from '../../../contract/errors.ts';
import type { SsmConfig } from '../../../contract/tunnel-config.ts';
import type { Route } from '../../driver.ts';
import type { SsmApi } from './api.ts';

/** A managed node; `via` is its id. */
export interface SsmRoute extends Route {
  readonly target: string;
}

/** Nodes that are asked for their connection; the first few that have one are enough. */
const MAX_ASKED = 20;
const ENOUGH = 4;

/** At least one route, connected ones only where there is a choice. @throws TunnelError TargetNotFound, or why AWS could not be asked. */
export async function findRoutes(
  target: SsmConfig['target'],
  { api, podUid, signal }: { readonly api: SsmApi; readonly podUid: string; readonly signal: AbortSignal },
): Promise<readonly SsmRoute[]> {
  if ('instanceId' in target) return [routeTo(target.instanceId)];
  if ('ecsTask' in target) throw new TunnelError('TargetNotFound', 'tasks of ECS cannot be looked up yet');
  const tags = Object.entries(target.tags).map(([key, value]) => `${key}=${value}`);
  const nodes = await api.findNodes(target.tags, signal);
  if (nodes.length === 0) {
    throw new TunnelError('TargetNotFound', `no managed node carries the tags ${tags.join(', ')}`);
  }
  const ordered = nodes.toSorted((a, b) => (rank(podUid, a) < rank(podUid, b) ? -1 : 1)).slice(0, MAX_ASKED);
  const connected: SsmRoute[] = [];
  for (const node of ordered) {
    if (await api.isConnected(node, signal)) connected.push(routeTo(node));
    if (connected.length === ENOUGH) break;
  }
  if (connected.length === 0) {
    throw new TunnelError('TargetNotFound', `no node with the tags ${tags.join(', ')} is connected to Session Manager`);
  }
  return connected;
}

function routeTo(target: string): SsmRoute {
  return { via: target, target };
}

function rank(podUid: string, node: string): string {
  return createHash('sha256').update(`${podUid}\0${node}`).digest('hex');
}
