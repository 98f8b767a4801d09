// `fly proxy …` and `flyctl proxy …` → a PortForward with spec.fly. Neighbours: ports.ts, docs/fly.md (tokens).
import { apiVersion, kind } from '../../contract/api/names.ts';
import { defined } from '../../contract/defined.ts';
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import type { FromOptions, NeededSecret, OptionOutcome, Translation } from './outcome.ts';
import { mapPorts, nameFor } from './ports.ts';

/** Long name → short one; with a value. */
const valued: Readonly<Record<string, string>> = {
  '--app': '-a',
  '--org': '-o',
  '--bind-addr': '-b',
  '--config': '-c',
  '--access-token': '-t',
};
const plain: Readonly<Record<string, string>> = {
  '--select': '-s',
  '--quiet': '-q',
  '--watch-stdin': '',
  '--verbose': '',
  '--debug': '',
};

const fates: Readonly<Record<string, readonly [Exclude<OptionOutcome['verdict'], 'kept'>, string]>> = {
  '--bind-addr': ['notNeeded', 'pods reach the Service; portforward open --address chooses on a laptop'],
  '--access-token': ['notPossible', 'the token is not repeated here: put a token of its own into the Secret'],
  '--select': ['notPossible', 'nobody is asked: name the Machine’s address as the destination'],
  '--quiet': ['notNeeded', 'it is about what the command prints'],
  '--verbose': ['notNeeded', 'it is about what the command prints'],
  '--debug': ['notNeeded', 'it is about what the command prints'],
  '--watch-stdin': ['notNeeded', 'a tunnel runs until it is deleted'],
};

/** @throws UsageError */
export function fromFly(
  words: readonly string[],
  options: FromOptions & { readonly machine: Machine; readonly program: string },
): Translation {
  const { machine, program } = options;
  const { values, outcomes, rest } = parse(words, program);
  const [command, ports = '', remote, ...more] = rest;
  if (command !== 'proxy')
    throw new UsageError(`${program} ${command ?? ''}: only ${program} proxy opens a tunnel to a port`);
  if (more.length > 0) throw new UsageError(`${program} proxy takes ports and one host, not ${more.join(' ')}`);
  const [, local = '', far = local] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(ports) ?? [];
  if (local === '')
    throw new UsageError(
      `${program} proxy: ${ports === '' ? 'the ports are missing' : ports}: write local:remote, as in 15432:5432`,
    );
  const { org, app, byOrg } = placeOf(values, remote, { machine, program });
  const host = remote?.replace(/^\[(.*)\]$/, '$1');
  const forward = {
    option: ports,
    localPort: Number(local),
    destination: { port: Number(far) },
    ...defined({ host: host === `${app}.internal` && !byOrg ? undefined : host }),
  };
  const mapped = mapPorts([forward], options.keepLocalPorts);
  const name = options.name ?? nameFor(byOrg ? [forward] : [], app ?? org ?? '');
  const place = byOrg ? `--org ${org}` : `--app ${app}`;
  const token = `"$(fly tokens create ${byOrg ? 'org' : 'deploy'} ${place})"`;
  const secret: NeededSecret = { name: `${name}-fly`, files: new Map(), literals: new Map([['FLY_API_TOKEN', token]]) };
  if (host !== undefined)
    outcomes.push({
      option: host,
      verdict: 'kept',
      why: forward.host === undefined ? 'it is the default destination of the app' : 'destinationHost',
    });
  if (org !== undefined && !byOrg)
    outcomes.push({
      option: `--org ${org}`,
      verdict: 'notNeeded',
      why: 'the app’s own organization is found by its name',
    });
  outcomes.push({ option: place, verdict: 'kept', why: byOrg ? 'spec.fly.org' : 'spec.fly.app' });
  return {
    document: {
      apiVersion,
      kind,
      metadata: { name, ...defined({ namespace: options.namespace }) },
      spec: { ports: mapped.ports, fly: { ...(byOrg ? { org } : { app }), secretRef: { name: secret.name } } },
    },
    secrets: [secret],
    outcomes: [...mapped.outcomes, ...outcomes],
    localPorts: mapped.localPorts,
  };
}

/** By organization only if no app is named: an app is reached in its own network. */
function placeOf(
  values: ReadonlyMap<string, string>,
  remote: string | undefined,
  { machine, program }: { readonly machine: Machine; readonly program: string },
) {
  const org = values.get('--org');
  const app =
    values.get('--app') ?? machine.environment['FLY_APP'] ?? appOfFile(values.get('--config') ?? 'fly.toml', machine);
  const byOrg = org !== undefined && remote !== undefined && values.get('--app') === undefined;
  if (!byOrg && app === undefined) throw new UsageError(`${program} proxy: the app is not known: add --app`);
  return { org, app, byOrg };
}

function parse(words: readonly string[], program: string) {
  const all = [...words];
  const values = new Map<string, string>();
  const outcomes: OptionOutcome[] = [];
  const rest: string[] = [];
  const longOf = (short: string): string | undefined =>
    Object.entries({ ...valued, ...plain }).find(([, each]) => each !== '' && each === short)?.[0];
  while (all.length > 0) {
    const word = all.shift() ?? '';
    if (!word.startsWith('-')) {
      rest.push(word);
      continue;
    }
    const [, given = '', inline] = /^(--[a-z-]+|-[a-zA-Z])(?:=(.*))?$/s.exec(word) ?? [];
    const name = given.startsWith('--') ? given : longOf(given);
    if (name === undefined || (valued[name] === undefined && plain[name] === undefined))
      throw new UsageError(`${program} proxy: the option ${word.replace(/=.*/s, '')} is not known here`);
    const value = valued[name] === undefined ? undefined : (inline ?? all.shift());
    if (valued[name] !== undefined && value === undefined)
      throw new UsageError(`${program} proxy: ${given} has no value`);
    if (value !== undefined) values.set(name, value);
    const fate = fates[name];
    if (fate !== undefined)
      outcomes.push({
        option: name === '--access-token' || value === undefined ? name : `${name} ${value}`,
        verdict: fate[0],
        why: fate[1],
      });
  }
  return { values, outcomes, rest };
}

/** `app = "orders-db"` of a fly.toml. */
function appOfFile(file: string, machine: Machine): string | undefined {
  return /^app\s*=\s*["']([a-z0-9-]+)["']/m.exec(machine.read(file) ?? '')?.[1];
}
