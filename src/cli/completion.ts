// `portforward completion bash|zsh|fish`: a script for the shell, and what it asks at each press of the tab key. The words come from the
// commands themselves, so they are never out of date.
// Neighbours: ../main.ts and kubectl/plugin.ts, whose commands they are.
import type { Command, Option } from 'commander';
import { UsageError } from './usage-error.ts';

/** What may stand at the last of the words, each a candidate. Empty: a file name, or nothing known. `names` is asked for names of tunnels. */
export async function candidates(
  program: Command,
  words: readonly string[],
  names?: (given: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  let command = program;
  let waiting: Option | undefined;
  const rest: string[] = [];
  const given: string[] = [];
  for (const word of before) {
    if (waiting !== undefined) {
      given.push(`${waiting.long}=${word}`);
      waiting = undefined;
      continue;
    }
    // Behind it are the words of another program.
    if (word === '--') return [];
    const option = optionsOf(command).find(({ long, short }) => word === long || word === short);
    if (option !== undefined) waiting = option.required ? option : undefined;
    else if (word.startsWith('--') && word.includes('=')) given.push(word);
    else if (!word.startsWith('-')) {
      const inner = rest.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (inner === undefined) rest.push(word);
      else command = inner;
    }
  }
  const found = await allOf({ command, waiting, current, rest, names, given });
  return found.filter((each) => each.startsWith(current));
}

interface Place {
  readonly command: Command;
  /** The option whose value is being typed. */
  readonly waiting: Option | undefined;
  readonly current: string;
  readonly rest: readonly string[];
  readonly names: ((given: readonly string[]) => Promise<readonly string[]>) | undefined;
  /** Options with their values, as in `--namespace=shop`. */
  readonly given: readonly string[];
}

async function allOf({ command, waiting, current, rest, names, given }: Place): Promise<readonly string[]> {
  if (waiting !== undefined) return waiting.argChoices ?? [];
  if (current.startsWith('-')) {
    const known = optionsOf(command).filter(({ hidden }) => !hidden);
    return [...known.flatMap(({ long }) => long ?? []), '--help'];
  }
  const inner = command.commands
    .filter((each) => !('_hidden' in each && each._hidden === true))
    .map((each) => each.name());
  if (inner.length > 0) return [...inner, 'help'];
  const argument = command.registeredArguments[rest.length];
  if (argument === undefined) return [];
  if (argument.argChoices !== undefined) return argument.argChoices;
  return argument.name() === 'name' && names !== undefined ? await names(given) : [];
}

/** Its own and those of the commands around it. */
function optionsOf(command: Command): readonly Option[] {
  const own = command.options;
  return command.parent === null ? own : [...own, ...optionsOf(command.parent)];
}

export const shells = ['bash', 'zsh', 'fish'] as const;

/** The script that a person's shell reads. @throws UsageError for another shell */
export function completionScript(shell: string): string {
  const script = scripts[shell];
  if (script === undefined) throw new UsageError(`${shell}: there is completion for ${shells.join(', ')}`);
  return script;
}

const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for portforward: source <(portforward completion bash)
_portforward() {
  local IFS=$'\\n'
  COMPREPLY=($(portforward __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
# No candidate: file names.
complete -o default -F _portforward portforward
`,
  zsh: `#compdef portforward
# zsh completion for portforward: source <(portforward completion zsh)
_portforward() {
  local -a found
  found=("\${(@f)$(portforward __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _portforward portforward
`,
  fish: `# fish completion for portforward: portforward completion fish | source
complete -c portforward -a '(portforward __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};
