// The PortForwards of a cluster as kubectl gives them: read once, or followed change by change.
// Neighbours: kubectl.ts, status.ts.
import { createInterface } from 'node:readline/promises';
import { KubectlFailed } from '../usage-error.ts';
import { endOf, type Kubectl } from './kubectl.ts';
import { resource } from './plugin-command.ts';
import type { StoredTunnel } from './tunnel-state.ts';

/** Which tunnels of the cluster. */
export interface TunnelChoice {
  readonly name: string | undefined;
  readonly allNamespaces: boolean;
  readonly selector: string | undefined;
}

const argsOf = ({ name, allNamespaces, selector }: TunnelChoice): string[] => [
  'get',
  resource,
  ...(name === undefined ? [] : [name]),
  ...(allNamespaces ? ['--all-namespaces'] : []),
  ...(selector === undefined ? [] : [`--selector=${selector}`]),
];

/** @throws KubectlFailed */
export async function readTunnels(kubectl: Kubectl, selection: TunnelChoice): Promise<readonly StoredTunnel[]> {
  const read = await kubectl.json<StoredTunnel | { readonly items: readonly StoredTunnel[] }>(argsOf(selection));
  return 'items' in read ? read.items : [read];
}

/** Calls `show` for every tunnel, then after each change, one call at a time. Ends with kubectl: by Ctrl-C or a failure. */
export async function follow(
  kubectl: Kubectl,
  selection: TunnelChoice,
  show: (tunnel: StoredTunnel) => Promise<void>,
): Promise<void> {
  const child = kubectl.start([...argsOf(selection), '--watch', '--output=json'], ['ignore', 'pipe', 'inherit']);
  const ended = endOf(child);
  ended.catch(() => undefined);
  if (child.stdout !== null) {
    let lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      // kubectl writes each object with line ends; only its first and last line begin with a brace.
      if (line !== '}') continue;
      await show(JSON.parse(lines.join('\n')) as StoredTunnel);
      lines = [];
    }
  }
  const end = await ended;
  if (end !== 0) throw new KubectlFailed(`kubectl ended with ${end}`);
}
