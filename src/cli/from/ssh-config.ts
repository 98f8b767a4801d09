// Reads ssh_config as OpenSSH does, for one host: the first value of a keyword wins, some keywords add up, and Host, Match and Include decide
// which lines count. Nothing is run: a Match block that asks a program is left out and named.
// Neighbours: ssh-words.ts (words and patterns), ssh-keywords.ts (which keywords there are), ssh-hops.ts (asks for each host on the way).
import { isAbsolute, join } from 'node:path';
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import { accumulated, keywordOf, wholeLine } from './ssh-keywords.ts';
import { type Criteria, matchVerdict } from './ssh-match.ts';
import { matchesList, splitWords } from './ssh-words.ts';

/** One value that took effect. */
export interface Setting {
  readonly keyword: string;
  readonly words: readonly string[];
  /** As a report names it: `-p 2222`, `Port 2222`. */
  readonly label: string;
  /** `~/.ssh/config:12`; absent: the command line. */
  readonly origin?: string;
}

/** A block that might count, but only a program or the network could say. */
interface Skipped {
  readonly label: string;
  readonly origin: string;
}

export interface HostSettings {
  first(keyword: string): Setting | undefined;
  all(keyword: string): readonly Setting[];
  readonly effective: readonly Setting[];
  readonly skipped: readonly Skipped[];
}

export interface ConfigSources {
  readonly commandLine: readonly Setting[];
  /** `-F`: this file alone; `none`: no file. Default: the user's own and the system's. */
  readonly file: string | undefined;
  readonly machine: Machine;
}

const maxDepth = 16;

/** What ssh would use for that host, as it was named on the command line. @throws UsageError for a line that ssh would refuse */
export function settingsFor(host: string, sources: ConfigSources): HostSettings {
  const reader = new Reader(host, sources);
  reader.readAll(false);
  if (reader.wantsFinalPass) reader.readFinally();
  return reader;
}

class Reader implements HostSettings {
  readonly effective: Setting[] = [];
  readonly skipped: Skipped[] = [];
  wantsFinalPass = false;
  /** Settled after the first reading. */
  #realHost: string | undefined;
  #ignoreUnknown: readonly string[] = [];
  readonly #host: string;
  readonly #sources: ConfigSources;

  constructor(host: string, sources: ConfigSources) {
    this.#host = host;
    this.#sources = sources;
    for (const setting of sources.commandLine) this.#add(setting);
  }

  first(keyword: string): Setting | undefined {
    return this.effective.find((each) => each.keyword === keyword);
  }

  all(keyword: string): readonly Setting[] {
    return this.effective.filter((each) => each.keyword === keyword);
  }

  /** The second reading, which `Match final` asks for. */
  readFinally(): void {
    this.#realHost = this.#hostNow().toLowerCase();
    this.readAll(true);
  }

  readAll(isFinal: boolean): void {
    const { file, machine } = this.#sources;
    if (file === 'none') return;
    if (file !== undefined) {
      if (machine.read(file) === undefined) throw new UsageError(`cannot read ${file}, which -F names`);
      this.#readFile(file, { isFinal, active: true, depth: 0, folder: join(machine.home, '.ssh') });
      return;
    }
    const user = join(machine.home, '.ssh', 'config');
    this.#readFile(user, { isFinal, active: true, depth: 0, folder: join(machine.home, '.ssh') });
    this.#readFile('/etc/ssh/ssh_config', { isFinal, active: true, depth: 0, folder: '/etc/ssh' });
  }

  #readFile(path: string, { active, ...where }: Where & { readonly active: boolean }): void {
    if (where.depth > maxDepth)
      throw new UsageError(`${this.#short(path)}: more than ${maxDepth} files include one another`);
    let counts = active;
    for (const [index, raw] of (this.#sources.machine.read(path) ?? '').split('\n').entries()) {
      const origin = `${this.#short(path)}:${index + 1}`;
      const line = raw.trim();
      if (line === '' || line.startsWith('#')) continue;
      const [, word = '', rest = ''] = /^"?([^\s="]+)"?(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)$/s.exec(line) ?? [];
      const keyword = keywordOf(word);
      if (keyword === undefined) {
        if (matchesList(word.toLowerCase(), this.#ignoreUnknown)) continue;
        throw new UsageError(`${origin}: ssh has no option ${word}`);
      }
      const words = wholeLine.has(keyword) ? [rest] : splitWords(rest);
      if (words === undefined) throw new UsageError(`${origin}: the quotes of ${keyword} are not closed`);
      if (words.length === 0 || words[0] === '') throw new UsageError(`${origin}: ${keyword} has no value`);
      if (keyword === 'Host') counts = active && matchesList(this.#realHost ?? this.#host, words);
      else if (keyword === 'Match') counts = this.#matches(words, { origin, isFinal: where.isFinal, active });
      else if (keyword === 'Include') this.#include(words, { ...where, active: counts });
      else if (counts) this.#add({ keyword, words, label: labelOf(keyword, words), origin });
    }
  }

  #add(setting: Setting): void {
    const { keyword, words } = setting;
    if (keyword === 'HostName' && this.#realHost !== undefined) return;
    if (keyword === 'IgnoreUnknown') this.#ignoreUnknown = words.flatMap((word) => word.toLowerCase().split(','));
    // Either way is chosen by whichever comes first.
    const rivals = ['ProxyJump', 'ProxyCommand'].includes(keyword) ? ['ProxyJump', 'ProxyCommand'] : [keyword];
    const same = this.effective.filter((each) => rivals.includes(each.keyword));
    const isKnown = accumulated.has(keyword)
      ? same.some((each) => each.words.join('\0') === words.join('\0'))
      : same.length > 0;
    if (!isKnown) this.effective.push(setting);
  }

  #include(patterns: readonly string[], where: Where & { readonly active: boolean }): void {
    const { machine } = this.#sources;
    for (const pattern of patterns) {
      const whole = expandHome(expandVariables(pattern, machine), machine);
      const found = machine.glob(isAbsolute(whole) ? whole : join(where.folder, whole));
      for (const path of found) this.#readFile(path, { ...where, depth: where.depth + 1 });
    }
  }

  #matches(
    words: readonly string[],
    { origin, isFinal, active }: { readonly origin: string; readonly isFinal: boolean; readonly active: boolean },
  ): boolean {
    const { machine } = this.#sources;
    const criteria: Criteria = {
      originalHost: this.#host,
      host: this.#hostNow(),
      user: this.first('User')?.words[0] ?? machine.user,
      localUser: machine.user,
      tag: this.first('Tag')?.words[0] ?? '',
      isFinal,
    };
    const { verdict, asksFinal } = matchVerdict(words, criteria, origin);
    this.wantsFinalPass ||= asksFinal && active;
    if (verdict === 'unknown' && active && !this.skipped.some((each) => each.origin === origin)) {
      this.skipped.push({ label: 'Match', origin });
    }
    return verdict === true && active;
  }

  #hostNow(): string {
    return this.#realHost ?? this.first('HostName')?.words[0]?.replaceAll('%h', this.#host) ?? this.#host;
  }

  #short(path: string): string {
    const { home } = this.#sources.machine;
    return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
  }
}

interface Where {
  readonly isFinal: boolean;
  readonly depth: number;
  /** Where relative names of Include begin. */
  readonly folder: string;
}

/** Values that may hold a password, or that are a whole program's call, are not repeated. */
const silent = new Set(['ProxyCommand', 'LocalCommand', 'RemoteCommand', 'KnownHostsCommand', 'SetEnv']);

export const labelOf = (keyword: string, words: readonly string[]): string =>
  silent.has(keyword) ? keyword : [keyword, ...words].join(' ');

/** `~/x` → in the home of the person; other people's homes stay as they are. */
export const expandHome = (path: string, { home }: Machine): string => path.replace(/^~(?=\/|$)/, home);

/** `${NAME}` → its value in the environment. @throws UsageError if it is not set, as ssh does */
export function expandVariables(text: string, { environment }: Machine): string {
  return text.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = environment[name];
    if (value === undefined) throw new UsageError(`the configuration of ssh uses \${${name}}, which is not set here`);
    return value;
  });
}
