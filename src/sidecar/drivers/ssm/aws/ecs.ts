// The two calls to the Elastic Container Service that find a container: which tasks a service runs, and what runs in them. The AWS library is
// loaded with the first call, so only by tunnels whose target is a task. Neighbours: aws-client.ts (how calls go), ecs-target.ts (makes routes
// of the answer).
import type { ECSClient, Task } from '@aws-sdk/client-ecs';
import { type AwsCallOptions, AwsClient } from './aws-client.ts';

/** A container of a service, whichever task runs it. */
export interface EcsTarget {
  /** Name or ARN. */
  readonly cluster: string;
  readonly service: string;
  readonly container: string;
}

/** What a session to a container needs to know of a running task. */
export interface RunningTask {
  /** The first part of a session's target. */
  readonly cluster: string;
  readonly taskId: string;
  /** Whether the task was started with ECS Exec. */
  readonly execEnabled: boolean;
  /** Names of its containers. */
  readonly containers: readonly string[];
  /** Of the wanted container, once it runs. */
  readonly runtimeId: string | undefined;
  /** Whether the agent in that container runs. */
  readonly agentRuns: boolean;
}

export interface EcsApi {
  /** The service's running tasks, in no order; at most 100. @throws TunnelError */
  runningTasks(target: EcsTarget, signal: AbortSignal): Promise<readonly RunningTask[]>;
  close(): void;
}

/** 6 MB and 20 ms beside the client that every tunnel of this driver has. */
const loadSdk = () => import('@aws-sdk/client-ecs');

/** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
export function createEcsApi(options: AwsCallOptions): EcsApi {
  const aws = new AwsClient(
    'ecs',
    options,
    loadSdk,
    ({ ECSClient: Client }, settings): ECSClient => new Client(settings),
  );
  return {
    async runningTasks({ cluster, service, container }, signal) {
      const subject = `the service ${service} of the cluster ${cluster}`;
      const { taskArns = [] } = await aws.call(
        { action: 'ecs:ListTasks', subject, signal },
        async (client, { ListTasksCommand }) => {
          const input = { cluster, serviceName: service, desiredStatus: 'RUNNING' as const, maxResults: 100 };
          return client.send(new ListTasksCommand(input), { abortSignal: signal });
        },
      );
      if (taskArns.length === 0) return [];
      const { tasks = [] } = await aws.call(
        { action: 'ecs:DescribeTasks', subject, signal },
        async (client, { DescribeTasksCommand }) =>
          client.send(new DescribeTasksCommand({ cluster, tasks: taskArns }), { abortSignal: signal }),
      );
      return tasks
        .filter(({ lastStatus }) => lastStatus === 'RUNNING')
        .flatMap((task) => factsOf(task, cluster, container));
    },

    close() {
      aws.close();
    },
  };
}

function factsOf(task: Task, cluster: string, container: string): RunningTask[] {
  // arn:aws:ecs:<region>:<account>:task/<cluster>/<id>; in the oldest form without the cluster.
  const path = task.taskArn?.split(':').at(-1)?.split('/').slice(1) ?? [];
  const taskId = path.at(-1);
  if (taskId === undefined) return [];
  const { containers = [], enableExecuteCommand } = task;
  const wanted = containers.find(({ name }) => name === container);
  const agent = wanted?.managedAgents?.find(({ name }) => name === 'ExecuteCommandAgent');
  return [
    {
      cluster: (path.length > 1 ? path[0] : undefined) ?? cluster.split('/').at(-1) ?? cluster,
      taskId,
      execEnabled: enableExecuteCommand === true,
      containers: containers.flatMap(({ name }) => name ?? []),
      runtimeId: wanted?.runtimeId,
      agentRuns: agent?.lastStatus === 'RUNNING',
    },
  ];
}
