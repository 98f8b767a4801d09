// `aws ssm start-session …` → a PortForward with spec.ssm: both documents for port forwarding, their parameters as JSON or in the AWS command
// line's shorthand. Neighbours: aws-parameters.ts (the parameters), ports.ts.
import { apiVersion, kind } from '../../contract/api/names.ts';
import { defined } from '../../contract/defined.ts';
import { portDocument, remoteHostDocument } from '../../contract/ssm-documents.ts';
import { UsageError } from '../usage-error.ts';
import { parseParameters, regionOfProfile } from './aws-parameters.ts';
import type { Machine } from './machine.ts';
import type { FromOptions, OptionOutcome, Translation } from './outcome.ts';
import { mapPorts, nameFor } from './ports.ts';

const read = 'read';
type Fate = typeof read | readonly [Exclude<OptionOutcome['verdict'], 'kept'>, string];
const output = ['notNeeded', 'it is about what the command prints'] as const;
const waits = ['notNeeded', 'every wait has a limit of its own'] as const;

/** Options of `aws` and of `start-session` with a value. */
const valued: Readonly<Record<string, Fate>> = {
  '--target': read,
  '--document-name': read,
  '--parameters': read,
  '--region': read,
  '--profile': read,
  '--endpoint-url': ['notPossible', 'write the endpoint into spec.ssm.endpoints, if the operator allows it'],
  '--ca-bundle': ['notPossible', 'certificates of a company are the chart’s value tunnels.caBundle'],
  '--reason': ['notPossible', 'sessions of a tunnel carry no reason'],
  '--output': output,
  '--query': output,
  '--color': output,
  '--cli-binary-format': output,
  '--cli-connect-timeout': waits,
  '--cli-read-timeout': waits,
};

const plain: Readonly<Record<string, Fate>> = {
  '--debug': output,
  '--no-cli-pager': output,
  '--no-paginate': output,
  '--cli-auto-prompt': output,
  '--no-cli-auto-prompt': output,
  '--no-verify-ssl': ['notPossible', 'certificates are always checked'],
  '--no-sign-request': ['notPossible', 'AWS takes signed requests only'],
};

interface AwsCall {
  readonly values: ReadonlyMap<string, string>;
  readonly outcomes: OptionOutcome[];
}

/** @throws UsageError for options that are not known and for sessions that forward no port */
export function fromAws(words: readonly string[], options: FromOptions & { readonly machine: Machine }): Translation {
  const { machine } = options;
  const { values, outcomes } = parse(words);
  const target = values.get('--target');
  if (target === undefined) throw new UsageError('aws ssm start-session has no --target');
  const document = values.get('--document-name');
  if (document !== portDocument && document !== remoteHostDocument) {
    const which = document === undefined ? 'without --document-name it opens a shell' : `${document} forwards no port`;
    throw new UsageError(`${which}: a tunnel needs ${portDocument} or ${remoteHostDocument}`);
  }
  const parameters = parseParameters(values.get('--parameters') ?? '', machine);
  const unknown = [...parameters.keys()].find((key) => !['portNumber', 'localPortNumber', 'host'].includes(key));
  if (unknown !== undefined) throw new UsageError(`--parameters: ${document} has no parameter ${unknown}`);
  const host = parameters.get('host');
  if ((host === undefined) === (document === remoteHostDocument)) {
    throw new UsageError(
      host === undefined ? `--parameters: ${document} needs host` : `--parameters: ${document} has no parameter host`,
    );
  }
  const port = portOf(parameters.get('portNumber') ?? '80', 'portNumber');
  const localPort = parameters.get('localPortNumber');
  const forward = {
    option: '--parameters',
    destination: { port },
    ...defined({
      host: host === 'localhost' ? undefined : host,
      localPort: localPort === undefined ? undefined : portOf(localPort, 'localPortNumber'),
    }),
  };
  const mapped = mapPorts([forward], options.keepLocalPorts);
  const region = regionFrom(values, machine, outcomes);
  outcomes.push({
    option: `--target ${target}`,
    verdict: 'kept',
    why: 'spec.ssm.target.instanceId; spec.ssm.target.tags also finds its replacement',
  });
  outcomes.push({
    option: `--document-name ${document}`,
    verdict: 'kept',
    why: 'chosen by whether a port has a destinationHost',
  });
  return {
    document: {
      apiVersion,
      kind,
      metadata: { name: options.name ?? nameFor([forward], target), ...defined({ namespace: options.namespace }) },
      spec: { ports: mapped.ports, ssm: { region, target: { instanceId: instance(target) } } },
    },
    secrets: [],
    outcomes: [...mapped.outcomes, ...outcomes, identity],
    localPorts: mapped.localPorts,
  };
}

const identity: OptionOutcome = {
  option: 'your AWS identity',
  verdict: 'notPossible',
  why: 'a pod has its own: IRSA, EKS Pod Identity, or spec.ssm.secretRef with static keys (docs/ssm.md); portforward iam -f prints the policy that it needs',
};

function parse(words: readonly string[]): AwsCall {
  const rest = [...words];
  const values = new Map<string, string>();
  const outcomes: OptionOutcome[] = [];
  const commands: string[] = [];
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    if (!word.startsWith('-')) {
      commands.push(word);
      continue;
    }
    const [, name = word, inline] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? [];
    const fate = valued[name] ?? plain[name];
    if (fate === undefined) throw new UsageError(`aws ssm start-session: the option ${name} is not known here`);
    const value = valued[name] === undefined ? undefined : (inline ?? rest.shift());
    if (valued[name] !== undefined && value === undefined) throw new UsageError(`aws: ${name} has no value`);
    if (fate === read) values.set(name, value ?? '');
    else outcomes.push({ option: value === undefined ? name : `${name} ${value}`, verdict: fate[0], why: fate[1] });
  }
  if (commands.join(' ') !== 'ssm start-session') {
    throw new UsageError(`aws ${commands.join(' ')}: only aws ssm start-session opens a tunnel`);
  }
  return { values, outcomes };
}

function portOf(text: string, parameter: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new UsageError(`--parameters: ${parameter} is ${text}, which is no port`);
  return port;
}

function instance(target: string): string {
  if (target.startsWith('ecs:')) {
    throw new UsageError(
      `--target ${target}: it names one task, which is gone after the next deployment; write spec.ssm.target.ecsTask with cluster, service and container (docs/ssm.md)`,
    );
  }
  return target;
}

function regionFrom(values: ReadonlyMap<string, string>, machine: Machine, outcomes: OptionOutcome[]): string {
  const profile = values.get('--profile') ?? machine.environment['AWS_PROFILE'];
  const { AWS_REGION, AWS_DEFAULT_REGION } = machine.environment;
  const ofProfile = regionOfProfile(profile ?? 'default', machine);
  const given = values.get('--region');
  const region = given ?? AWS_REGION ?? AWS_DEFAULT_REGION ?? ofProfile;
  if (profile !== undefined) {
    const why = `a pod has no profiles${region === ofProfile && given === undefined ? '; its region is kept' : ''}: give the tunnel an identity of its own`;
    outcomes.push({ option: `--profile ${profile}`, verdict: 'notPossible', why });
  }
  if (region === undefined) {
    throw new UsageError('the region is not known: add --region, or set AWS_REGION');
  }
  outcomes.push({
    option: given === undefined ? `region ${region}` : `--region ${region}`,
    verdict: 'kept',
    why: 'spec.ssm.region',
  });
  return region;
}
