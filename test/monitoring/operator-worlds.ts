// The worlds that the alerts on the operator are for. They disturb the operator of the whole cluster, so no test of `npm test` runs them.
// Neighbours: worlds.ts has those of tunnels, every-alert.ts runs them.
import { globSync, readFileSync } from 'node:fs';
import { ensureOperator, operatorNamespace } from '../../lab/cluster/operator.ts';
import { CommandFailed } from '../../lab/process/command.ts';
import { signalProcess } from '../../lab/process/proc.ts';
import type { WatchedShop } from './watched-shop.ts';
import { repeat, type World } from './worlds.ts';

const scale = (replicas: number) => (watched: WatchedShop) =>
  watched.cluster.kubectl(['-n', operatorNamespace, 'scale', 'deployment/portforward', `--replicas=${replicas}`]);

const restart = async ({ cluster }: WatchedShop): Promise<void> => {
  await cluster.kubectl(['-n', operatorNamespace, 'rollout', 'restart', 'deployment/portforward']);
  await cluster.kubectl(['-n', operatorNamespace, 'rollout', 'status', 'deployment/portforward', '--timeout=120s']);
};

/** Processes of this machine whose control group and command line say what they are. */
function processes(group: string, commandLine: RegExp): number[] {
  return globSync('/proc/[0-9]*/cmdline').flatMap((file) => {
    const pid = Number(file.split('/')[2]);
    try {
      const isMeant =
        commandLine.test(readFileSync(file, 'utf8').replaceAll('\0', ' ')) &&
        readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(group);
      return isMeant ? [pid] : [];
    } catch {
      return [];
    }
  });
}

let stopped: readonly number[] = [];
const stopAll = (pids: readonly number[]): void => {
  if (pids.length === 0) throw new Error('no such process');
  stopped = pids;
  for (const pid of pids) signalProcess(pid, 'SIGSTOP');
};
const resumeAll = async (): Promise<void> => {
  for (const pid of stopped) signalProcess(pid, 'SIGCONT');
};

/** What was deleted, to be applied again. */
let kept = '';
const remove = async ({ cluster }: WatchedShop, kind: string, name: string): Promise<void> => {
  const stored = JSON.parse(await cluster.kubectl(['get', kind, name, '--output', 'json'])) as {
    metadata: { resourceVersion?: string; uid?: string };
  };
  delete stored.metadata.resourceVersion;
  delete stored.metadata.uid;
  kept = JSON.stringify(stored);
  await cluster.kubectl(['delete', kind, name]);
};
const putBack = ({ cluster }: WatchedShop): Promise<string> =>
  cluster.kubectl(['create', '--filename', '-'], { input: kept });

let stopRepeating: () => Promise<void> = async () => {};
let changes = 0;
const queued = Array.from({ length: 40 }, (_, index) => `queued-${index}`);
const clusterName = `${operatorNamespace}-portforward`;

export const operatorWorlds: readonly World[] = [
  {
    alert: 'PortForwardTwoInstalls',
    begin: ({ shop }) =>
      shop.kubectl(['annotate', '--overwrite', 'deployment/pf-orders-db', 'portforward.dev/install=elsewhere/other']),
    end: ({ shop }) =>
      shop.kubectl([
        'annotate',
        '--overwrite',
        'deployment/pf-orders-db',
        `portforward.dev/install=${operatorNamespace}/portforward`,
      ]),
  },
  {
    alert: 'PortForwardRepairs',
    begin: async ({ shop }) => {
      stopRepeating = repeat(async () => {
        changes += 1;
        const patch = JSON.stringify({ spec: { revisionHistoryLimit: 20 + (changes % 2) } });
        await shop.kubectl(['patch', 'deployment', 'pf-orders-db', '--patch', patch]);
      }, 500);
    },
    end: () => stopRepeating(),
  },
  {
    alert: 'PortForwardStatusUnreadable',
    begin: async ({ shop }) => {
      const [pod] = await shop.tunnelPods('orders-db');
      const uid = pod?.metadata.uid ?? 'none';
      stopAll([uid, uid.replaceAll('-', '_')].flatMap((each) => processes(each, /portforward\.cjs sidecar/)));
    },
    end: resumeAll,
  },
  {
    alert: 'PortForwardReconcileErrors',
    begin: async (watched) => {
      await remove(watched, 'clusterrolebinding', clusterName);
      stopRepeating = repeat(async () => {
        changes += 1;
        await watched.apply({ spec: { connection: { maxConnections: 8, drainTimeoutSeconds: 30 + (changes % 20) } } });
      }, 1_000);
    },
    end: async (watched) => {
      await stopRepeating();
      await putBack(watched);
      await watched.apply();
    },
  },
  {
    alert: 'PortForwardQueueLong',
    begin: async (watched) => {
      await ensureOperator(watched.cluster, {
        values: { 'controller.workers': '1', 'controller.writesPerSecond': '1' },
      });
      await watched.apply({ spec: { suspend: true } }, queued);
    },
    end: async (watched) => {
      await watched.shop.kubectl(['delete', 'pf', ...queued, '--wait=false']);
      await ensureOperator(watched.cluster);
    },
  },
  {
    alert: 'PortForwardUncaged',
    begin: async (watched) => {
      await remove(watched, 'validatingadmissionpolicybinding', `${clusterName}-owned`);
      await restart(watched);
    },
    end: async (watched) => {
      await putBack(watched);
      await restart(watched);
    },
  },
  {
    alert: 'PortForwardWatchStale',
    begin: async () => stopAll(processes('', /^\S*kube-apiserver /)),
    end: resumeAll,
  },
  {
    alert: 'PortForwardNoLeader',
    begin: scale(0),
    end: async (watched) => {
      await ensureOperator(watched.cluster).catch((error: unknown) => {
        if (!(error instanceof CommandFailed)) throw error;
      });
      await scale(2)(watched);
    },
  },
];
