// `ssh -L …` and `autossh …` → a PortForward with spec.ssh: the bastion, the jump hosts, the host keys and the forwards, and for every option
// that took effect what became of it.
// Neighbours: ssh-options.ts (the words), ssh-hops.ts (the way), ssh-secrets.ts, ssh-host-keys.ts, ports.ts.
import { apiVersion, kind } from '../../contract/api/names.ts';
import { defined } from '../../contract/defined.ts';
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import type { FromOptions, OptionOutcome, Translation } from './outcome.ts';
import { mapPorts, nameFor, type WantedForward } from './ports.ts';
import type { Setting } from './ssh-config.ts';
import { type SshHop, wayTo } from './ssh-hops.ts';
import { hostKeysOf, keyscan } from './ssh-host-keys.ts';
import { fates } from './ssh-keywords.ts';
import { parseSsh } from './ssh-options.ts';
import { secretsOf } from './ssh-secrets.ts';
import { parseForward } from './ssh-words.ts';

/** @throws UsageError for what ssh would refuse, and where nothing is forwarded */
export function fromSsh(
  words: readonly string[],
  options: FromOptions & {
    readonly machine: Machine;
    readonly program: 'ssh' | 'autossh';
    readonly withPassword: boolean;
  },
): Translation {
  const { machine, program } = options;
  const call = parseSsh(words, program);
  const hops = wayTo(call.destination, { commandLine: call.settings, file: call.configFile, machine });
  const bastion = hops.at(-1);
  if (bastion === undefined) throw new UsageError(`${call.destination}: this is no host for ssh`);
  const forwards = forwardsOf(bastion);
  const mapped = mapPorts(forwards, options.keepLocalPorts);
  if (mapped.ports.length === 0) throw new UsageError(nothingToForward(bastion, mapped.outcomes));
  const name = options.name ?? nameFor(forwards, bastion.alias);
  const secrets = secretsOf(hops, { name, machine, withPassword: options.withPassword });
  const keys = hostKeys(hops, machine);
  const shared = secrets.secrets.length === 1;
  const entry = (hop: SshHop) => ({
    host: hop.host,
    ...defined({
      port: hop.port === 22 ? undefined : hop.port,
      user: hop === bastion || hop.user === bastion.user ? undefined : hop.user,
      secretRef: shared || hop === bastion ? undefined : { name: secrets.nameOf.get(hop) ?? '' },
    }),
  });
  const jumps = hops.slice(0, -1).map(entry);
  return {
    document: {
      apiVersion,
      kind,
      metadata: { name, ...defined({ namespace: options.namespace }) },
      spec: {
        ports: mapped.ports,
        ssh: {
          user: bastion.user,
          bastions: [entry(bastion)],
          ...defined({ jumpHosts: jumps.length === 0 ? undefined : jumps }),
          secretRef: { name: secrets.nameOf.get(bastion) ?? '' },
          ...defined({
            knownHosts: keys.lines.length === 0 ? undefined : `${keys.lines.join('\n')}\n`,
            connectTimeoutSeconds: connectTimeout(bastion),
          }),
        },
      },
    },
    secrets: secrets.secrets,
    outcomes: [
      ...mapped.outcomes,
      ...wayOutcomes(hops, machine),
      ...secrets.outcomes,
      ...keys.outcomes,
      ...call.outcomes,
      ...settingOutcomes(hops),
    ],
    localPorts: mapped.localPorts,
  };
}

/** Undefined for one that a document cannot have. */
function connectTimeout({ settings }: SshHop): number | undefined {
  const seconds = Number(settings.first('ConnectTimeout')?.words[0]);
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= 120 ? seconds : undefined;
}

function forwardsOf({ settings }: SshHop): readonly WantedForward[] {
  if (settings.first('ClearAllForwardings')?.words[0]?.toLowerCase() === 'yes') return [];
  return settings.all('LocalForward').map(({ words, label, origin }) => {
    const parsed = parseForward(words.join(':'));
    if (parsed === undefined) throw new UsageError(`${label}: a forward is written as port:host:port`);
    const { local, remote } = parsed;
    return {
      option: label,
      ...defined({
        origin,
        localPort: 'port' in local ? local.port : undefined,
        host: 'host' in remote && remote.host !== 'localhost' ? remote.host : undefined,
      }),
      destination: 'port' in remote ? { port: remote.port } : { socket: remote.socket },
    };
  });
}

function nothingToForward({ settings }: SshHop, outcomes: readonly OptionOutcome[]): string {
  const [lost] = outcomes;
  if (lost !== undefined) return `${lost.option}: ${lost.why}`;
  for (const keyword of ['DynamicForward', 'RemoteForward', 'TunnelDevice'] as const) {
    const setting = settings.first(keyword);
    if (setting !== undefined) return `${setting.label}: ${fates[keyword]?.[1] ?? ''}`;
  }
  return 'this ssh forwards nothing: add -L 5432:orders.db:5432, or LocalForward to its block of ~/.ssh/config';
}

/** Names, ports, users and jump hosts: where each value of the document is from. */
function wayOutcomes(hops: readonly SshHop[], machine: Machine): readonly OptionOutcome[] {
  const outcomes: OptionOutcome[] = [];
  const keep = (setting: Setting | undefined, why: string): void => {
    if (setting !== undefined)
      outcomes.push({ option: setting.label, ...defined({ origin: setting.origin }), verdict: 'kept', why });
  };
  for (const hop of hops) {
    const { settings, host, port, user, alias } = hop;
    const where = hop === hops.at(-1) ? 'spec.ssh.bastions' : 'spec.ssh.jumpHosts';
    keep(settings.first('HostName'), `${where}: ${alias} is ${host}`);
    keep(settings.first('Port'), `${where}: port ${port} of ${host}`);
    keep(settings.first('User'), `user ${user} at ${host}`);
    if (settings.first('User') === undefined) {
      outcomes.push({
        option: `no user for ${alias}`,
        verdict: 'kept',
        why: `ssh would log in as ${machine.user}, the user of this machine`,
      });
    }
    const jump = settings.first('ProxyJump');
    if (jump?.words[0]?.toLowerCase() !== 'none') keep(jump, 'spec.ssh.jumpHosts, in the same order');
    keep(hop.jumpCommand, 'it only asks another host for a connection, so that host is in spec.ssh.jumpHosts');
    if (hop.jumpCommand === undefined && settings.first('ProxyCommand')?.words[0]?.toLowerCase() !== 'none') {
      const command = settings.first('ProxyCommand');
      if (command !== undefined)
        outcomes.push({
          option: command.label,
          ...defined({ origin: command.origin }),
          verdict: 'notPossible',
          why: proxyCommandReason(command),
        });
    }
  }
  const bastion = hops.at(-1);
  if (bastion !== undefined && connectTimeout(bastion) !== undefined)
    keep(bastion.settings.first('ConnectTimeout'), 'spec.ssh.connectTimeoutSeconds');
  return outcomes;
}

function proxyCommandReason({ words }: Setting): string {
  const what = 'it runs a program of this machine, which a tunnel pod does not have';
  return /AWS-StartSSHSession/.test(words[0] ?? '')
    ? `${what}: reach the instance by spec.ssm instead (portforward from -- aws ssm start-session …)`
    : `${what}: the cluster must reach the host directly, or by ProxyJump`;
}

function hostKeys(
  hops: readonly SshHop[],
  machine: Machine,
): { readonly lines: readonly string[]; readonly outcomes: readonly OptionOutcome[] } {
  const lines: string[] = [];
  const outcomes: OptionOutcome[] = [];
  for (const hop of hops) {
    const found = hostKeysOf(hop, machine);
    lines.push(...found.lines);
    const option = `host key of ${hop.host}`;
    if (found.lines.length > 0) {
      outcomes.push({ option, verdict: 'kept', why: `spec.ssh.knownHosts, from ${found.files.join(' and ')}` });
      continue;
    }
    const authority = found.hasAuthority
      ? 'only a @cert-authority is known here, which a tunnel does not understand'
      : 'none is known here';
    outcomes.push({
      option,
      verdict: 'notPossible',
      why: `${authority}: compare what ${keyscan(hop)} prints with the host’s own, and put it into spec.ssh.knownHosts`,
    });
  }
  return { lines: [...new Set(lines)], outcomes };
}

/** Every other setting that took effect, by the table. */
function settingOutcomes(hops: readonly SshHop[]): readonly OptionOutcome[] {
  const outcomes = new Map<string, OptionOutcome>();
  for (const { settings } of hops) {
    for (const { keyword, words, label, origin } of settings.effective) {
      const fate = fates[keyword];
      if (fate === undefined || fate === 'read') continue;
      const isOff = fate[0] === 'notPossible' && ['no', 'none', 'false'].includes(words[0]?.toLowerCase() ?? '');
      const [verdict, why] = isOff ? (['notNeeded', 'it is off'] as const) : fate;
      outcomes.set(`${origin} ${label}`, { option: label, ...defined({ origin }), verdict, why });
    }
    for (const { label, origin } of settings.skipped) {
      const why =
        'only a program, the network or a newer ssh could say whether this block counts; nothing was asked, so it is left out';
      outcomes.set(`${origin} ${label}`, { option: label, origin, verdict: 'notPossible', why });
    }
  }
  return [...outcomes.values()];
}
