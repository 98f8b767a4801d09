// For a fault: the command that a person runs to see its cause, and on which machine. Pure.
// Neighbours: inspect.ts asks, advice-aws.ts (Session Manager), advice-fly.ts (fly.io), contract/error-codes.ts has the remedies.
import type { Code } from '../../contract/errors.ts';
import { hostPort } from '../../contract/ip-address.ts';
import type { Destination, Forward, Hop, TunnelConfig } from '../../contract/tunnel-config.ts';
import { awsAdviceFor } from './advice-aws.ts';
import { flyAdviceFor } from './advice-fly.ts';
import { shellWord } from './shell-word.ts';
import type { Advice } from './step.ts';

export interface Fault {
  readonly config: TunnelConfig;
  /** What the step that failed is about: the name of a hop, or of a port. */
  readonly at: string;
  /** The port that was dialled; undefined on the way to the bastion. */
  readonly forward: Forward | undefined;
}

/** The commands for a fault, most telling first; none if its sentence says all. */
export function adviceFor(code: Code, fault: Fault): Advice[] {
  const { config, forward } = fault;
  const secret = secretCodes.has(code) ? secretOf(fault) : undefined;
  if (secret !== undefined) {
    const command = `kubectl describe secret -n ${config.namespace} ${secret}`;
    return [{ where: 'in the cluster (shows the keys, not their content)', command }];
  }
  if (forward !== undefined) {
    const command = destinationCommands[code]?.(forward, config);
    if (command !== undefined) return [{ where: bastionOf(fault), command }];
  }
  if (config.driver === 'ssm') return awsAdviceFor(code, config.ssm);
  if (config.driver === 'fly') return flyAdviceFor(code, config.fly);
  const hop = hopOf(fault);
  const here = hereCommands[code]?.(hop);
  if (here !== undefined) return [{ where: 'where the tunnel runs', command: here }];
  const command = hopCommands[code]?.(hop);
  return command === undefined ? [] : [{ where: bastionOf(fault), command }];
}

const secretCodes: ReadonlySet<Code> = new Set([
  'SecretNotFound',
  'SecretKeyMissing',
  'PrivateKeyInvalid',
  'PassphraseWrong',
  'TokenMissing',
]);

const log = 'sudo journalctl -u ssh -u sshd -n 30 --no-pager';
const hostKeys = 'for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf "$key"; done';
const limits = "sudo sshd -T | grep -iE '^(maxstartups|persource|maxsessions|logingracetime)'";

const hereCommands: Partial<Record<Code, (hop: Hop) => string>> = {
  BastionNameNotResolved: ({ host }) => `getent ahosts ${host}`,
};

const hopCommands: Partial<Record<Code, (hop: Hop) => string>> = {
  BastionRefused: ({ port }) => `sudo ss -ltnp 'sport = :${port}'`,
  BastionUnreachable: ({ port }) => `sudo tcpdump -ni any -c 5 'tcp port ${port}'`,
  BastionTimeout: ({ port }) => `sudo tcpdump -ni any -c 5 'tcp port ${port}'`,
  BastionRefusing: () => limits,
  BastionLost: () => log,
  HandshakeFailed: () =>
    "sudo sshd -T | grep -iE '^(kexalgorithms|ciphers|macs|hostkeyalgorithms|pubkeyacceptedalgorithms)'",
  HostKeyUnknown: () => hostKeys,
  HostKeyChanged: () => hostKeys,
  HostKeyRevoked: () => hostKeys,
  HostKeyNotProved: () => hostKeys,
  PasswordNotTrusted: () => hostKeys,
  AuthenticationFailed: ({ user }) =>
    `sudo ssh-keygen -lf "$(getent passwd ${shellWord(user)} | cut -d: -f6)/.ssh/authorized_keys"; ${log}`,
  LoginRefused: () => log,
  LoginInterrupted: ({ user }) => `sudo chage -l ${shellWord(user)}; ls -l /etc/nologin /run/nologin; ${log}`,
  ForwardingProhibited: ({ user }) =>
    `sudo sshd -T -C ${shellWord(`user=${user},host=localhost,addr=127.0.0.1`)} | grep -iE '^(allowtcpforwarding|allowstreamlocalforwarding|disableforwarding|permitopen)'`,
};

type DestinationCommand = (forward: Forward, config: TunnelConfig) => string | undefined;

const reach: DestinationCommand = ({ destination }) =>
  'socket' in destination
    ? `ls -l ${shellWord(destination.socket)}`
    : `nc -vz -w 5 ${destination.host} ${destination.port}`;

const destinationCommands: Partial<Record<Code, DestinationCommand>> = {
  DestinationRefused: reach,
  DestinationTimeout: reach,
  DestinationUnreachable: reach,
  DestinationNameNotResolved: ({ destination }) =>
    'socket' in destination ? undefined : `getent ahosts ${destination.host}`,
  DestinationNotSpeaking: ({ destination, appProtocol }) =>
    'socket' in destination ? undefined : questions[appProtocol]?.(destination),
};

type Address = Exclude<Destination, { readonly socket: string }>;

const questions: Partial<Record<Forward['appProtocol'], (to: Address) => string>> = {
  postgresql: ({ host, port }) => `pg_isready -h ${host} -p ${port}`,
  redis: ({ host, port }) => `redis-cli -h ${host} -p ${port} ping`,
  mysql: ({ host, port }) => `mariadb-admin -h ${host} -P ${port} ping`,
  http: ({ host, port }) => `curl -sSI http://${hostPort(host, port)}/`,
};

/** The hop that the step is about; for a port, the bastion it was dialled through. */
function hopOf({ config, at }: Fault): Hop {
  if (config.driver !== 'ssh') throw new Error('only ssh has hops');
  const { jumpHosts, bastions } = config.ssh;
  const hops = [...jumpHosts, ...bastions];
  const [only] = bastions;
  const found = hops.findLast(({ host, port }) => at.endsWith(` ${hostPort(host, port)}`)) ?? only;
  if (found === undefined) throw new Error('a tunnel without a bastion');
  return found;
}

function bastionOf(fault: Fault): string {
  const { config, forward } = fault;
  if (config.driver === 'fly') return 'on a Machine of the app';
  if (config.driver !== 'ssh') return 'on the node';
  const { host, port } = hopOf(fault);
  const role = forward === undefined && fault.at.startsWith('jump host') ? 'jump host' : 'bastion';
  return `on the ${role} ${hostPort(host, port)}`;
}

function secretOf(fault: Fault): string | undefined {
  const { config } = fault;
  if (config.driver === 'ssh') return hopOf(fault).credentials?.secretName;
  return (config.driver === 'ssm' ? config.ssm : config.fly).credentials?.secretName;
}
