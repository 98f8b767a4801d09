// The machines on the way of `ssh …`: for each the host, port, user and keys that ssh would use, by its own block of the configuration.
// Neighbours: ssh-config.ts (the settings of one host), ssh-command.ts (makes a document of them).
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import {
  type ConfigSources,
  expandHome,
  expandVariables,
  type HostSettings,
  type Setting,
  settingsFor,
} from './ssh-config.ts';
import { parseSsh } from './ssh-options.ts';
import { type HostWord, parseHost, splitWords } from './ssh-words.ts';

export interface SshHop {
  /** As it was named. */
  readonly alias: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Paths, in the order in which ssh tries them. */
  readonly identityFiles: readonly string[];
  readonly certificateFiles: readonly string[];
  readonly settings: HostSettings;
  /** ProxyCommand that is only an `ssh -W` or `nc` to another host, so it became a jump host. */
  readonly jumpCommand?: Setting;
}

const maxHops = 9;

/** In the order in which they are passed; the last is the bastion. @throws UsageError for a host that cannot be read, or a circle of jump hosts */
export function wayTo(destination: string, sources: ConfigSources): readonly SshHop[] {
  return hopsTo(read(destination, false), sources, 0);
}

function read(word: string, withPort: boolean): HostWord {
  const host = parseHost(word, withPort);
  if (host === undefined) throw new UsageError(`${word}: this is no host for ssh (user@host, or ssh://user@host:port)`);
  return host;
}

function hopsTo(word: HostWord, sources: ConfigSources, depth: number): readonly SshHop[] {
  if (depth > maxHops) throw new UsageError(`${word.host}: more than ${maxHops} jump hosts, or a circle of them`);
  const hop = hopOf(word, sources);
  const jump = hop.settings.first('ProxyJump');
  const words = jump === undefined ? hop.jumpCommand && jumpOf(hop.jumpCommand) : jump.words.join('').split(',');
  if (words === undefined || words.join('').toLowerCase() === 'none') return [hop];
  const { machine, file } = sources;
  // As ssh does: the last jump host is asked through those before it, with its own block of the configuration and no option of the command line.
  const before = words.slice(0, -1).join(',');
  const commandLine: Setting[] =
    before === '' ? [] : [{ keyword: 'ProxyJump', words: [before], label: `-J ${before}` }];
  const last = words.at(-1) ?? '';
  return [...hopsTo(read(last.trim(), true), { commandLine, file, machine }, depth + 1), hop];
}

/** One machine as ssh would log in to it. @throws UsageError for a port that is none */
export function hopOf({ user, host: alias, port }: HostWord, { commandLine, ...rest }: ConfigSources): SshHop {
  const fromWord: Setting[] = [
    ...(user === undefined ? [] : [{ keyword: 'User', words: [user], label: `${user}@` }]),
    ...(port === undefined ? [] : [{ keyword: 'Port', words: [String(port)], label: `:${port}` }]),
  ];
  // An option in front of the host wins over user and port in its word, as in ssh.
  const settings = settingsFor(alias, { commandLine: [...commandLine, ...fromWord], ...rest });
  const { machine } = rest;
  const value = (keyword: string): string | undefined => settings.first(keyword)?.words[0];
  const host = (value('HostName') ?? alias)
    .replaceAll(/%[h%]/g, (token) => (token === '%h' ? alias : '%'))
    .toLowerCase();
  const tokens = {
    alias,
    host,
    port: value('Port') ?? '22',
    user: value('User') ?? machine.user,
    jump: '',
    key: value('HostKeyAlias') ?? host,
  };
  const number = Number(tokens.port);
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw new UsageError(`${tokens.port}: a port is a number from 1 to 65535`);
  const paths = (keyword: string): readonly string[] =>
    settings
      .all(keyword)
      .map(({ words }) => words[0] ?? '')
      .filter((path) => path.toLowerCase() !== 'none')
      .map((path) => expandPath(path, tokens, machine));
  const command = settings.first('ProxyCommand');
  return {
    alias,
    host,
    port: number,
    user: tokens.user,
    identityFiles: settings.first('IdentityFile') === undefined ? defaultKeys(machine) : paths('IdentityFile'),
    certificateFiles: paths('CertificateFile'),
    settings,
    ...(command !== undefined && jumpOf(command) !== undefined ? { jumpCommand: command } : {}),
  };
}

interface Tokens {
  readonly alias: string;
  readonly host: string;
  readonly port: string;
  readonly user: string;
  readonly jump: string;
  readonly key: string;
}

/** `~`, `${NAME}` and the tokens of ssh_config(5). */
export function expandPath(path: string, tokens: Tokens, machine: Machine): string {
  const { hostName } = machine;
  const values: Readonly<Record<string, string>> = {
    '%%': '%',
    '%d': machine.home,
    '%h': tokens.host,
    '%i': String(machine.uid),
    '%k': tokens.key,
    '%L': hostName.split('.')[0] ?? '',
    '%l': hostName,
    '%n': tokens.alias,
    '%p': tokens.port,
    '%r': tokens.user,
    '%u': machine.user,
  };
  return expandHome(expandVariables(path, machine), machine).replaceAll(/%./g, (token) => values[token] ?? token);
}

/** What ssh tries without any IdentityFile, in its order. */
const defaultKeys = ({ home }: Machine): readonly string[] =>
  ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk', 'id_xmss', 'id_dsa'].map(
    (name) => `${home}/.ssh/${name}`,
  );

/** The jump host of a ProxyCommand that is nothing but `ssh -W %h:%p jump` or `ssh jump nc %h %p`; undefined for any other program. */
function jumpOf({ words }: Setting): readonly string[] | undefined {
  const [line = ''] = words;
  const all = splitWords(line) ?? [];
  const [program = '', ...rest] = all[0] === 'exec' ? all.slice(1) : all;
  if (!/^(?:\/usr\/bin\/)?ssh$/.test(program) || /[|;&<>`$]/.test(line)) return undefined;
  const netcat = /\s(?:exec\s+)?(?:nc|netcat|ncat)(?:\s+-[\w ]+?)?\s+%h\s+%p(?:\s+2>\s*\/dev\/null)?$/;
  const through = rest.includes('-W')
    ? rest[rest.indexOf('-W') + 1] === '%h:%p' || rest[rest.indexOf('-W') + 1] === '[%h]:%p'
    : netcat.test(line);
  if (!through) return undefined;
  try {
    const { destination, settings } = parseSsh(rest, 'ssh');
    const known = settings.filter(({ keyword }) => keyword === 'User' || keyword === 'Port');
    const harmless = new Set(['User', 'Port', 'LogLevel', 'RequestTTY', 'SessionType', 'ForwardAgent', 'StdinNull']);
    if (settings.some(({ keyword }) => !harmless.has(keyword))) return undefined;
    const host = parseHost(destination, false);
    if (host === undefined) return undefined;
    const value = (keyword: string): string | undefined => known.find((each) => each.keyword === keyword)?.words[0];
    const [user, port] = [value('User') ?? host.user, value('Port') ?? host.port];
    return [`${user === undefined ? '' : `${user}@`}${host.host}${port === undefined ? '' : `:${port}`}`];
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
