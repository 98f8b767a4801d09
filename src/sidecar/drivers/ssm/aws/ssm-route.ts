// One way of this driver: a node or a container. Neighbours: targets.ts and ecs-target.ts find them, driver.ts connects.
import type { Route } from '../../../base/driver.ts';

/** A managed node, and `via` is its id; or a container, and `via` is `cluster/task/container`. */
export interface SsmRoute extends Route {
  /** What a session is started to. */
  readonly target: string;
}
