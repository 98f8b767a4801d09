// `kubectl portforward logs`: what all pods of a tunnel log, each line with its pod.
// Neighbours: plugin-command.ts, controller/children/names.ts (the label of the pods).
import { type Command, Option } from 'commander';
import { defined } from '../../contract/defined.ts';
import { containerName } from '../../contract/pod.ts';
import { nameLabel } from '../../controller/children/names.ts';
import { addCommand, kubectlOf, tunnelName } from './plugin-command.ts';

interface LogsFlags {
  readonly follow?: true;
  readonly previous?: true;
  readonly timestamps?: true;
  readonly tail: string;
  readonly since?: string;
}

/** A tunnel has at most this many pods; kubectl follows five unless it is told. */
const maxPods = 20;

export function addLogs(program: Command): void {
  addCommand(program, 'logs <name>', 'what the tunnel’s pods log, each line with its pod')
    .option('-f, --follow', 'go on with new lines')
    .option('-p, --previous', 'of the containers before the last restart')
    .option('--timestamps', 'each line with its time')
    .addOption(new Option('--tail <lines>', 'last lines of each pod; -1 is all').default('100'))
    .option('--since <time>', 'only newer lines, as in 5m')
    .action(async (word: string, { follow, previous, timestamps, tail, since }: LogsFlags, used: Command) => {
      const flags = defined({ follow, previous, timestamps, tail, since });
      const args = Object.entries(flags).map(([name, value]) => `--${name}=${String(value)}`);
      const selector = `--selector=${nameLabel}=${tunnelName(word)}`;
      process.exitCode = await kubectlOf(used).onTerminal([
        'logs',
        selector,
        `--container=${containerName}`,
        '--prefix',
        `--max-log-requests=${maxPods}`,
        ...args,
      ]);
    });
}
