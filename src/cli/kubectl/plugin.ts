// `kubectl portforward …`: what the program does when it is called kubectl-portforward. Here, unlike in `portforward`, the current context
// and namespace of the kubeconfig hold, and kubectl's own flags choose others.
// Neighbours: ../../main.ts calls it by the program's name; each command has a file beside this one; kubectl.ts calls the cluster.
import { Command } from 'commander';
import { candidates } from '../completion.ts';
import { addChanges } from './changes.ts';
import { addDoctor } from './doctor.ts';
import { addKubectlFlags, Kubectl } from './kubectl.ts';
import { addLogs } from './logs.ts';
import { addOpenTunnel } from './open-tunnel.ts';
import { type Output, resource } from './plugin-command.ts';
import { addStatus } from './status.ts';

/** kubectl's directive for a shell: no file names. */
const noFiles = ':4';

/** Prints what may stand at the last of the words, as kubectl's own completion asks for it. */
export async function completePlugin(words: readonly string[], print: Output['print']): Promise<void> {
  const silent: Output = { print: () => undefined, complain: () => undefined };
  for (const candidate of await candidates(pluginProgram(silent), words, tunnelNames)) print(candidate);
  print(noFiles);
}

/** None where the cluster does not answer: a shell shows no complaint. */
async function tunnelNames(given: readonly string[]): Promise<readonly string[]> {
  try {
    const said = await new Kubectl(given).text(['get', resource, '--output=name', '--request-timeout=3s']);
    return said.split('\n').flatMap((line) => line.split('/')[1] ?? []);
  } catch {
    return [];
  }
}

/** The plugin's commands. Each is added by the file that does it. */
export function pluginProgram(output: Output): Command {
  const program = addKubectlFlags(
    new Command('kubectl portforward')
      .description('Tunnels of this cluster: their state, their logs, and the same tunnel on this machine.')
      .showHelpAfterError('(see kubectl portforward --help)')
      .exitOverride(),
  );
  addStatus(program, output);
  addOpenTunnel(program, output);
  addLogs(program);
  addDoctor(program, output);
  addChanges(program, output);
  return program;
}
