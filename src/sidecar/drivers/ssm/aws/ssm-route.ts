// A route of this driver: a managed node or a container. Neighbours: targets.ts and ecs-target.ts find them, driver.ts connects.
import type { Route } from '../../../base/driver.ts';

/** `via` is the id of a managed node, or `cluster/task/container`. */
export interface SsmRoute extends Route {
  /** What AWS's StartSession is asked for. */
  readonly target: string;
}
