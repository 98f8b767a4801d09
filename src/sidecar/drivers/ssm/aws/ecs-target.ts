// To which containers of a service's tasks a session can be opened, or in one sentence why to none. No I/O.
// Neighbours: ecs.ts lists the tasks, targets.ts puts the routes in order.
import { TunnelError } from '../../../../contract/errors.ts';
import type { EcsTarget, RunningTask } from './ecs.ts';
import type { SsmRoute } from './ssm-route.ts';

/** At least one route. @throws TunnelError TargetNotFound, or TargetNotConnected if only the agent is missing */
export function containerRoutes(target: EcsTarget, tasks: readonly RunningTask[]): readonly SsmRoute[] {
  const { cluster, service, container } = target;
  const where = `the service ${service} of the cluster ${cluster}`;
  if (tasks.length === 0) {
    throw new TunnelError('TargetNotFound', `${where} has no running task: give it a desired count of at least 1`);
  }
  const enabled = tasks.filter(({ execEnabled }) => execEnabled);
  if (enabled.length === 0) {
    throw new TunnelError(
      'TargetNotFound',
      `ECS Exec is not enabled for the tasks of ${where}: set enableExecuteCommand on the service and force a new deployment`,
    );
  }
  const withIt = enabled.filter(({ containers }) => containers.includes(container));
  if (withIt.length === 0) {
    const names = [...new Set(enabled.flatMap(({ containers }) => containers))].toSorted().slice(0, 10).join(', ');
    throw new TunnelError('TargetNotFound', `no task of ${where} has a container ${container}; it has ${names}`);
  }
  const routes = withIt.flatMap(({ cluster: name, taskId, runtimeId, agentRuns }) =>
    runtimeId !== undefined && agentRuns
      ? [{ via: `${name}/${taskId}/${container}`, target: `ecs:${name}_${taskId}_${runtimeId}` }]
      : [],
  );
  if (routes.length === 0) {
    throw new TunnelError(
      'TargetNotConnected',
      `the ExecuteCommandAgent does not run in the container ${container} of ${where}: give the task role the ssmmessages permissions, and the task a way to that endpoint`,
    );
  }
  return routes;
}
