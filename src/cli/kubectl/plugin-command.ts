// What every command of the plugin begins with: kubectl's flags, the name of a tunnel, and where lines are printed.
// Neighbours: plugin.ts lists the commands, kubectl.ts calls the cluster.
import type { Command } from 'commander';
import { UsageError } from '../usage-error.ts';
import { addKubectlFlags, Kubectl, kubectlFlagsOf } from './kubectl.ts';

export interface Output {
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** A command with kubectl's flags. */
export function addCommand(program: Command, nameAndArguments: string, description: string): Command {
  return addKubectlFlags(program.command(nameAndArguments).description(description));
}

/** kubectl, as the person wants it called for this command. */
export const kubectlOf = (used: Command): Kubectl => new Kubectl(kubectlFlagsOf(used));

/** `pf/orders-db`, `portforward/orders-db` or `orders-db` → `orders-db`. @throws UsageError for anything else. */
export function tunnelName(word: string): string {
  const [, name] = /^(?:(?:pf|portforwards?(?:\.portforward\.dev)?)\/)?([a-z][a-z0-9-]*)$/.exec(word) ?? [];
  if (name === undefined)
    throw new UsageError(`${word}: a tunnel is named as in kubectl get pf, for example orders-db`);
  return name;
}

/** The resource as kubectl must be told: another operator may have a short name pf. */
export const resource = 'portforwards.portforward.dev';
