// Which command it is, by its first words. What opens no tunnel into a private network is refused with the reason.
// Neighbours: ssh-command.ts, aws-command.ts, fly-command.ts; from.ts prints the result.
import { basename } from 'node:path';
import { UsageError } from '../usage-error.ts';
import { fromAws } from './aws-command.ts';
import { fromFly } from './fly-command.ts';
import type { Machine } from './machine.ts';
import type { FromOptions, OptionOutcome, Translation } from './outcome.ts';
import { fromSsh } from './ssh-command.ts';

const usage =
  'portforward from -- ssh -L 5432:orders.db:5432 user@bastion (or autossh, aws ssm start-session, fly proxy)';

/** @throws UsageError for a command that is not understood as a whole */
export function translate(words: readonly string[], options: FromOptions & { readonly machine: Machine }): Translation {
  const { environment, rest, outcomes } = withoutPrefixes(words);
  const machine = { ...options.machine, environment: { ...options.machine.environment, ...environment } };
  const given = { ...options, machine };
  const [program = '', ...args] = rest;
  const name = basename(program).replace(/\.exe$/, '');
  const add = (translation: Translation): Translation => ({
    ...translation,
    outcomes: [...translation.outcomes, ...outcomes],
  });
  switch (name) {
    case 'ssh':
      return add(fromSsh(args, { ...given, program: name, withPassword: false }));
    case 'autossh':
      return add(fromSsh(args, { ...given, program: name, withPassword: false }));
    case 'sshpass':
      return add(fromSshpass(args, given));
    case 'aws':
      return add(fromAws(args, given));
    case 'fly':
    case 'flyctl':
      return add(fromFly(args, { ...given, program: name }));
    case 'kubectl':
    case 'oc':
      throw new UsageError(kubectlReason(name, args));
    case '':
      throw new UsageError(`the command is missing: ${usage}`);
    default:
      throw new UsageError(`${name} is not understood: ${usage}`);
  }
}

/** `sudo`, `nohup` and variables in front say how the command is run, not where the tunnel leads. */
function withoutPrefixes(words: readonly string[]) {
  const rest = [...words];
  const environment: Record<string, string> = {};
  const outcomes: OptionOutcome[] = [];
  for (;;) {
    const [first = ''] = rest;
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(first) ?? [];
    if (name !== undefined && value !== undefined) {
      environment[name] = value;
      // Its value may be a password.
      outcomes.push({
        option: name,
        verdict: 'notNeeded',
        why: 'pods have an environment of their own; what this command reads of it is above',
      });
    } else if (['sudo', 'exec', 'nohup', 'env', 'command', 'time'].includes(first)) {
      outcomes.push({ option: first, verdict: 'notNeeded', why: 'pods run by themselves, without rights of root' });
    } else return { environment, rest, outcomes };
    rest.shift();
  }
}

/** `sshpass -p PASSWORD ssh …`: the password is not repeated. */
function fromSshpass(words: readonly string[], options: FromOptions & { readonly machine: Machine }): Translation {
  const rest = [...words];
  for (let word = rest[0]; word?.startsWith('-') === true; word = rest[0]) {
    rest.shift();
    if (!/^-[pfdPe]/.test(word) && word !== '-v') throw new UsageError(`sshpass has no option ${word.slice(0, 2)}`);
    if (/^-[pfdP]$/.test(word)) rest.shift();
  }
  const [program, ...args] = rest;
  if (program !== 'ssh' && program !== 'autossh')
    throw new UsageError(`sshpass ${program ?? ''}: only ssh opens a tunnel`);
  const translation = fromSsh(args, { ...options, program, withPassword: true });
  const why =
    'the password is not repeated here: the Secret’s key password holds it, and it is sent only to hosts in the Secret’s own known_hosts';
  return { ...translation, outcomes: [...translation.outcomes, { option: 'sshpass', verdict: 'notPossible', why }] };
}

function kubectlReason(program: string, args: readonly string[]): string {
  if (!args.includes('port-forward'))
    return `${program} ${args[0] ?? ''}: only commands that open a tunnel are understood: ${usage}`;
  const [, ...words] = args.slice(args.indexOf('port-forward'));
  const target = words.find((word) => !word.startsWith('-') && /[a-z]/.test(word)) ?? 'the pod';
  return (
    `${program} port-forward leads to ${target}, which is in the cluster already: applications there reach it by its Service, and on a laptop ` +
    `${program} port-forward remains the right command. A PortForward leads out of the cluster, into a private network`
  );
}
