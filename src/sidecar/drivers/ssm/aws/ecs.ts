// The two calls to the Elastic Container Service that find a container: which tasks a service runs, and what runs in them. The AWS library
// is loaded with the first call, and only by tunnels whose target is a task. Neighbour: ecs-target.ts makes routes of the answer.
import type { ECSClient, Task } from '@aws-sdk/client-ecs';
import { type AwsCallOptions, awsCall, clientSettings } from './aws-client.ts';
import type { Action } from './aws-reasons.ts';

/** A container of a running service: all by name except the task. */
export interface EcsTarget {
  /** Name or ARN. */
  readonly cluster: string;
  readonly service: string;
  readonly container: string;
}

/** A running task, as far as a session to one of its containers depends on it. */
export interface RunningTask {
  /** The names that a session's target is made of. */
  readonly cluster: string;
  readonly taskId: string;
  /** Whether the task was started with ECS Exec. */
  readonly execEnabled: boolean;
  /** Names of its containers. */
  readonly containers: readonly string[];
  /** Of the container that is asked for, once it runs. */
  readonly runtimeId: string | undefined;
  /** Whether the agent in that container runs. */
  readonly agentRuns: boolean;
}

export interface EcsApi {
  /** The service's running tasks, in no order; at most 100. @throws TunnelError */
  runningTasks(target: EcsTarget, signal: AbortSignal): Promise<readonly RunningTask[]>;
  close(): void;
}

/** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
export function createEcsApi(options: AwsCallOptions): EcsApi {
  const { secretName } = options;
  const { region } = options.policy;
  const settings = clientSettings('ecs', options);
  let client: Promise<ECSClient> | undefined;
  const open = (): Promise<ECSClient> => (client ??= loadSdk().then(({ ECSClient: Client }) => new Client(settings)));
  return {
    async runningTasks({ cluster, service, container }, signal) {
      const subject = `the service ${service} of the cluster ${cluster}`;
      const call = async <T>(action: Action, run: () => Promise<T>): Promise<T> =>
        await awsCall({ action, subject, region, secretName, signal }, run);
      const { ListTasksCommand, DescribeTasksCommand } = await loadSdk();
      const list = new ListTasksCommand({ cluster, serviceName: service, desiredStatus: 'RUNNING', maxResults: 100 });
      const { taskArns = [] } = await call('ecs:ListTasks', async () =>
        (await open()).send(list, { abortSignal: signal }),
      );
      if (taskArns.length === 0) return [];
      const describe = new DescribeTasksCommand({ cluster, tasks: taskArns });
      const { tasks = [] } = await call('ecs:DescribeTasks', async () =>
        (await open()).send(describe, { abortSignal: signal }),
      );
      return tasks
        .filter(({ lastStatus }) => lastStatus === 'RUNNING')
        .flatMap((task) => factsOf(task, cluster, container));
    },

    close() {
      void client?.then((one) => one.destroy()).catch(() => undefined);
    },
  };
}

/** 6 MB and 20 ms beside the client that every tunnel of this driver has. */
function loadSdk() {
  return import('@aws-sdk/client-ecs');
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
