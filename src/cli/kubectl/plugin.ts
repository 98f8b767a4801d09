// `kubectl portforward …`: what the program does when it is called kubectl-portforward. Here, unlike in `portforward`, the current context
// and namespace of the kubeconfig hold, and kubectl's own flags choose others.
// Neighbours: ../../main.ts calls it by the program's name; each command has a file beside this one; kubectl.ts calls the cluster.
import { Command } from 'commander';
import { addChanges } from './changes.ts';
import { addDoctor } from './doctor.ts';
import { addKubectlFlags } from './kubectl.ts';
import { addLogs } from './logs.ts';
import type { Output } from './plugin-command.ts';
import { addStatus } from './status.ts';

/** The plugin's commands. Each is added by the file that does it. */
export function pluginProgram(output: Output): Command {
  const program = addKubectlFlags(
    new Command('kubectl portforward')
      .description('Tunnels of this cluster: their state, their logs, and the same tunnel on this machine.')
      .showHelpAfterError('(see kubectl portforward --help)')
      .exitOverride(),
  );
  addStatus(program, output);
  addLogs(program);
  addDoctor(program, output);
  addChanges(program, output);
  return program;
}
