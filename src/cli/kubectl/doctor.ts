// `kubectl portforward doctor`: the way hop by hop from a pod of the tunnel, walked by the sidecar that runs there.
// Neighbours: ../ask-tunnel.ts is what it starts in the pod, stored-tunnels.ts and status.ts tell of tunnels without a running pod.
import { type Command, Option } from 'commander';
import { containerName } from '../../contract/pod.ts';
import { nameLabel } from '../../controller/children/names.ts';
import { UsageError } from '../usage-error.ts';
import type { Kubectl } from './kubectl.ts';
import { addCommand, kubectlOf, type Output, tunnelName } from './plugin-command.ts';

interface DoctorFlags {
  readonly pod?: string;
  readonly output: 'text' | 'json';
}

/** What is read of a pod. */
interface TunnelPod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly containerStatuses?: readonly { readonly name: string; readonly ready: boolean; readonly state?: object }[];
  };
}

export function addDoctor(program: Command, { complain }: Output): void {
  addCommand(program, 'doctor <name>', 'the way from a pod to each destination, hop by hop, until the first fault')
    .option('--pod <name>', 'which of its pods; default: one that is not ready, if there is one')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .action(async (word: string, flags: DoctorFlags, used: Command) => {
      const kubectl = kubectlOf(used);
      const name = tunnelName(word);
      const pod = flags.pod ?? (await podOf(kubectl, name));
      if (flags.output === 'text') complain(`kubectl exec${kubectl.sameFlags} ${execArguments(pod, flags).join(' ')}`);
      process.exitCode = await kubectl.onTerminal(['exec', ...execArguments(pod, flags)]);
    });
}

/** As a person would type it. The image has no shell. */
const execArguments = (pod: string, { output }: DoctorFlags): string[] => [
  pod,
  '-c',
  containerName,
  '--',
  'node',
  '/app/portforward.cjs',
  'doctor',
  ...(output === 'text' ? [] : ['-o', output]),
];

/** A pod whose sidecar runs, the first that is not ready before the others. @throws UsageError if there is none */
async function podOf(kubectl: Kubectl, name: string): Promise<string> {
  const { items } = await kubectl.json<{ readonly items: readonly TunnelPod[] }>([
    'get',
    'pods',
    `--selector=${nameLabel}=${name}`,
  ]);
  const running = items.filter((pod) => pod.metadata.deletionTimestamp === undefined && 'running' in stateOf(pod));
  const chosen = running.find((pod) => sidecarOf(pod)?.ready !== true) ?? running[0];
  if (chosen !== undefined) return chosen.metadata.name;
  throw new UsageError(
    `${name} has no running pod here, so that nothing can walk: kubectl portforward status${kubectl.sameFlags} ${name} says why`,
  );
}

const sidecarOf = ({ status }: TunnelPod) => status?.containerStatuses?.find((one) => one.name === containerName);

const stateOf = (pod: TunnelPod): object => sidecarOf(pod)?.state ?? {};
