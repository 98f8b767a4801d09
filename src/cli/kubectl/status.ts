// `kubectl portforward status [NAME]`: each port of each tunnel, and what a person should know of it.
// Neighbours: tunnel-state.ts (what is told), client-counts.ts (the column CLIENTS), stored-tunnels.ts (reads and follows).
import { type Command, Option } from 'commander';
import { systemClock } from '../../process/clock.ts';
import { UsageError } from '../usage-error.ts';
import { withClients } from './client-counts.ts';
import type { Kubectl } from './kubectl.ts';
import { addCommand, kubectlOf, type Output, tunnelName } from './plugin-command.ts';
import { follow, readTunnels, type TunnelChoice } from './stored-tunnels.ts';
import { age, printable, tableLines } from './table.ts';
import { type StoredTunnel, type TunnelState, tunnelStateOf } from './tunnel-state.ts';

interface StatusFlags {
  readonly allNamespaces?: true;
  readonly watch?: true;
  readonly selector?: string;
  readonly output: 'table' | 'json';
}

export function addStatus(program: Command, { print }: Output): void {
  addCommand(program, 'status [name]', 'each port: state, way, clients, since when, and what is wrong')
    .option('-A, --all-namespaces', 'tunnels of all namespaces')
    .option('-l, --selector <labels>', 'only tunnels with these labels')
    .option('-w, --watch', 'go on with every change')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .action(async (word: string | undefined, flags: StatusFlags, used: Command) => {
      if (word !== undefined && (flags.allNamespaces || flags.selector !== undefined))
        throw new UsageError('a name excludes --all-namespaces and --selector');
      const selection: TunnelChoice = {
        name: word === undefined ? undefined : tunnelName(word),
        allNamespaces: flags.allNamespaces === true,
        selector: flags.selector,
      };
      await status(kubectlOf(used), selection, flags, print);
    });
}

async function status(
  kubectl: Kubectl,
  selection: TunnelChoice,
  { watch, output }: StatusFlags,
  print: Output['print'],
): Promise<void> {
  const printer = new Printer(selection, print);
  const show = async (tunnels: readonly StoredTunnel[]): Promise<void> => {
    const states = await withClients(kubectl, tunnels.map(tunnelStateOf));
    if (output === 'json')
      print(JSON.stringify(watch === true ? states[0] : states, undefined, watch === true ? 0 : 2));
    else printer.show(states);
  };
  if (watch === true) await follow(kubectl, selection, async (tunnel) => await show([tunnel]));
  else await show(await readTunnels(kubectl, selection));
}

/** Prints tables one after the other: the header once, and a row only if it is new. */
class Printer {
  readonly #selection: TunnelChoice;
  readonly #print: Output['print'];
  readonly #last = new Map<string, string>();

  constructor(selection: TunnelChoice, print: Output['print']) {
    this.#selection = selection;
    this.#print = print;
  }

  show(tunnels: readonly TunnelState[]): void {
    if (tunnels.length === 0) return this.#print('no tunnels here: kubectl portforward status -A shows all');
    const isFirst = this.#last.size === 0;
    const changed = tunnels.filter((tunnel) => {
      const key = `${tunnel.namespace}/${tunnel.name}`;
      const text = JSON.stringify(tunnel);
      return this.#last.get(key) !== text && this.#last.set(key, text);
    });
    const now = systemClock.date();
    const [header, ...rows] = tableLines([
      headerOf(this.#selection),
      ...changed.flatMap((each) => this.#rowsOf(each, now)),
    ]);
    for (const line of isFirst && header !== undefined ? [header, ...rows] : rows) this.#print(line);
    for (const tunnel of changed) for (const line of this.#below(tunnel, now)) this.#print(line);
  }

  #rowsOf(tunnel: TunnelState, now: Date): string[][] {
    const { namespace, name, via = '', ports } = tunnel;
    return ports.map(({ port, name: portName, state, clients, since, reason = '' }) =>
      [
        ...(this.#selection.allNamespaces ? [namespace] : []),
        name,
        `${port}/${portName}`,
        state,
        via === '' ? '-' : via,
        clients === undefined ? '-' : String(clients),
        age(since, now),
        reason,
      ].map(printable),
    );
  }

  /** Bastions and pods where one tunnel was asked for; what is wrong always. */
  #below(tunnel: TunnelState, now: Date): string[] {
    const { namespace, name, notes, routes, tunnels, pods, address } = tunnel;
    const lines: string[] = [];
    if (this.#selection.name !== undefined) {
      const told = address === undefined ? [] : ['', `Address ${address}, ${pods ?? '0/0'} pods ready.`];
      const ways = routes.map(({ via, state, since }) => [via, state, age(since, now)]);
      const of = tunnels.map(({ pod, state, via = '-', since }) => [pod, state, via, age(since, now)]);
      if (ways.length > 0) lines.push('', ...tableLines([['THROUGH', 'STATE', 'SINCE'], ...ways]));
      if (of.length > 0) lines.push('', ...tableLines([['POD', 'STATE', 'VIA', 'SINCE'], ...of]));
      lines.push(...told);
    }
    const subject = this.#selection.allNamespaces ? `${namespace}/${name}` : name;
    return [
      ...lines,
      ...(notes.length > 0 ? [''] : []),
      ...notes.map((note) => `${subject}: ${note}`),
      ...nextStep(tunnel),
    ].map(printable);
  }
}

/** A port that carries nobody, although the operator acts on the document: the way to it can be walked. */
const nextStep = ({ namespace, name, ports }: TunnelState): readonly string[] =>
  ports.some(({ state }) => state === 'Down' || state === 'Unreachable')
    ? [`kubectl portforward doctor ${name} -n ${namespace} finds the hop at fault`]
    : [];

const headerOf = ({ allNamespaces }: TunnelChoice): string[] => [
  ...(allNamespaces ? ['NAMESPACE'] : []),
  'TUNNEL',
  'PORT',
  'STATE',
  'VIA',
  'CLIENTS',
  'SINCE',
  'REASON',
];
