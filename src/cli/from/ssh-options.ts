// The words of `ssh …` and `autossh …`: options as settings of ssh_config, the host, and what is left. An option that ssh does not have is an
// error. Neighbours: ssh-config.ts (settings), ssh-command.ts (what becomes of them).
import { UsageError } from '../usage-error.ts';
import type { OptionOutcome } from './outcome.ts';
import { labelOf, type Setting } from './ssh-config.ts';
import { keywordOf, wholeLine } from './ssh-keywords.ts';
import { splitWords } from './ssh-words.ts';

export interface SshCall {
  /** As it stands there: an alias, `user@host` or `ssh://…`. */
  readonly destination: string;
  readonly settings: readonly Setting[];
  /** Of options that are no settings. */
  readonly outcomes: readonly OptionOutcome[];
  readonly configFile: string | undefined;
}

/** Options with a value. */
const valued = new Set('BbcDEeFIiJLlmOoPpQRSWw');
const plain = new Set('1246AaCfGgKkMNnqsTtVvXxYy');

/** Option → keyword, with its value or a fixed one. */
const keywords: Readonly<Record<string, readonly [string, string?]>> = {
  4: ['AddressFamily', 'inet'],
  6: ['AddressFamily', 'inet6'],
  A: ['ForwardAgent', 'yes'],
  a: ['ForwardAgent', 'no'],
  B: ['BindInterface'],
  b: ['BindAddress'],
  C: ['Compression', 'yes'],
  c: ['Ciphers'],
  D: ['DynamicForward'],
  e: ['EscapeChar'],
  f: ['ForkAfterAuthentication', 'yes'],
  g: ['GatewayPorts', 'yes'],
  I: ['PKCS11Provider'],
  i: ['IdentityFile'],
  J: ['ProxyJump'],
  K: ['GSSAPIAuthentication', 'yes'],
  k: ['GSSAPIDelegateCredentials', 'no'],
  L: ['LocalForward'],
  l: ['User'],
  M: ['ControlMaster', 'yes'],
  m: ['MACs'],
  N: ['SessionType', 'none'],
  n: ['StdinNull', 'yes'],
  P: ['Tag'],
  p: ['Port'],
  q: ['LogLevel', 'QUIET'],
  R: ['RemoteForward'],
  S: ['ControlPath'],
  s: ['SessionType', 'subsystem'],
  T: ['RequestTTY', 'no'],
  t: ['RequestTTY', 'yes'],
  v: ['LogLevel', 'DEBUG'],
  w: ['TunnelDevice'],
  X: ['ForwardX11', 'yes'],
  x: ['ForwardX11', 'no'],
  Y: ['ForwardX11Trusted', 'yes'],
  y: ['SyslogFacility', 'USER'],
};

/** Options that make another call of it. */
const otherCalls: Readonly<Record<string, string>> = {
  G: 'prints the configuration',
  O: 'controls an ssh that runs already',
  Q: 'lists algorithms',
  V: 'prints the version',
};

const others: Readonly<Record<string, readonly [OptionOutcome['verdict'], string]>> = {
  1: ['notNeeded', 'ssh itself ignores it today'],
  2: ['notNeeded', 'ssh itself ignores it today'],
  E: ['notNeeded', 'pods write their log to kubectl logs'],
  W: ['notPossible', 'it joins one connection to this terminal: name the destination with -L'],
};

/** @throws UsageError for an option that ssh does not have, and for calls that open no tunnel */
export function parseSsh(words: readonly string[], program: 'ssh' | 'autossh'): SshCall {
  const settings: Setting[] = [];
  const outcomes: OptionOutcome[] = [];
  let configFile: string | undefined;
  const option = (letter: string, value: string | undefined): void => {
    const label = value === undefined ? `-${letter}` : `-${letter} ${value}`;
    if (letter === 'M' && program === 'autossh') {
      return void outcomes.push({
        option: label,
        verdict: 'notNeeded',
        why: 'a lost session is replaced without a monitor port',
      });
    }
    if (letter === 'F') {
      configFile ??= value;
      return void outcomes.push({
        option: label,
        verdict: 'kept',
        why: 'read instead of the other configuration files',
      });
    }
    if (letter === 'o') return void settings.push(settingOf(value ?? ''));
    if (otherCalls[letter] !== undefined)
      throw new UsageError(`${program} -${letter} ${otherCalls[letter]}: give the call that opens the tunnel`);
    const [verdict, why] = others[letter] ?? [];
    if (verdict !== undefined && why !== undefined) return void outcomes.push({ option: label, verdict, why });
    const [keyword, fixed] = keywords[letter] ?? [];
    if (keyword === undefined) throw new UsageError(`${program} has no option -${letter}`);
    settings.push({ keyword, words: [value ?? fixed ?? ''], label });
  };
  const rest = eachOption(words, program, option);
  const [destination, ...command] = rest;
  if (destination === undefined)
    throw new UsageError(`${program} needs a host: portforward from -- ${program} -L 5432:orders.db:5432 user@bastion`);
  if (command.length > 0)
    outcomes.push({
      option: command[0] === undefined ? '' : `command ${command[0]} …`,
      verdict: 'notNeeded',
      why: 'nothing is run on the bastion',
    });
  return { destination, settings, outcomes, configFile };
}

/** Calls back for every option; resolves with the host and the command. ssh takes options behind the host, too. */
function eachOption(
  words: readonly string[],
  program: 'ssh' | 'autossh',
  option: (letter: string, value: string | undefined) => void,
): string[] {
  const rest = [...words];
  const hosts: string[] = [];
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    if (word === '--') {
      if (hosts.length === 0) hosts.push(...rest.splice(0, 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      if (hosts.length === 1) {
        rest.unshift(word);
        break;
      }
      hosts.push(word);
      continue;
    }
    for (let letters = word.slice(1); letters !== ''; letters = letters.slice(1)) {
      const letter = letters[0] ?? '';
      const takesValue = valued.has(letter) || (letter === 'M' && program === 'autossh');
      if (!takesValue && !plain.has(letter)) throw new UsageError(`${program} has no option -${letter} (in ${word})`);
      if (!takesValue) {
        option(letter, undefined);
        continue;
      }
      const value = letters.length > 1 ? letters.slice(1) : rest.shift();
      if (value === undefined) throw new UsageError(`${program} -${letter} has no value`);
      option(letter, value);
      break;
    }
  }
  return [...hosts, ...rest];
}

/** `-o Port=2222`, `-o "Port 2222"`. @throws UsageError for a keyword that ssh does not have */
function settingOf(text: string): Setting {
  const [, word = '', rest = ''] = /^\s*([^\s=]+)(?:\s*=\s*|\s+|$)(.*)$/s.exec(text) ?? [];
  const keyword = keywordOf(word);
  if (keyword === undefined || ['Host', 'Match', 'Include'].includes(keyword))
    throw new UsageError(`ssh -o has no option ${word === '' ? text : word}`);
  const words = wholeLine.has(keyword) ? [rest.trim()] : splitWords(rest);
  if (words === undefined || words.length === 0) throw new UsageError(`ssh -o ${word} has no value`);
  return { keyword, words, label: `-o ${labelOf(keyword, words)}` };
}
