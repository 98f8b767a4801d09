// How OpenSSH splits a line of ssh_config, matches a pattern, and writes a forward and a host with user and port. Pure.
// Neighbours: ssh-config.ts, ssh-options.ts.

/** A line's words, as argv_split of OpenSSH: quotes of both kinds, backslash, and # ends the line. Undefined: quotes are not closed. */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    if (/[ \t]/.test(line[at] ?? '')) {
      at += 1;
      continue;
    }
    if (line[at] === '#') break;
    let word = '';
    let quote = '';
    for (; at < line.length; at += 1) {
      const character = line[at] ?? '';
      const next = line[at + 1] ?? '';
      if (character === '\\' && (next === '"' || next === "'" || next === '\\' || (quote === '' && next === ' '))) {
        word += next;
        at += 1;
      } else if (quote === '' && /[ \t]/.test(character)) break;
      else if (quote === '' && (character === '"' || character === "'")) quote = character;
      else if (quote !== '' && character === quote) quote = '';
      else word += character;
    }
    if (quote !== '') return undefined;
    words.push(word);
  }
  return words;
}

/** `*` and `?`; case matters, as in ssh_config. */
function matchesPattern(text: string, pattern: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

/** A list in which a negated pattern that matches outweighs all others. */
export function matchesList(text: string, patterns: readonly string[]): boolean {
  const negated = patterns.some((each) => each.startsWith('!') && matchesPattern(text, each.slice(1)));
  return !negated && patterns.some((each) => !each.startsWith('!') && matchesPattern(text, each));
}

export interface HostWord {
  readonly user?: string;
  readonly host: string;
  readonly port?: number;
}

/** `user@host:port`, `user@[::1]:port` or `ssh://user@host:port`; a port only where `withPort`. Undefined if it is none of these. */
export function parseHost(word: string, withPort: boolean): HostWord | undefined {
  const uri = word.startsWith('ssh://');
  const rest = uri ? word.slice('ssh://'.length).replace(/\/$/, '') : word;
  const at = rest.lastIndexOf('@');
  const user = at < 0 ? undefined : uri ? decodeURIComponent(rest.slice(0, at).replace(/;.*$/, '')) : rest.slice(0, at);
  const place = rest.slice(at + 1);
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(place) ?? [];
  const host = uri || withPort ? (bracketed ?? plain) : place.replace(/^\[(.*)\]$/, '$1');
  const port = uri || withPort ? digits : undefined;
  if (host === undefined || host === '' || user === '') return undefined;
  return { host, ...(user === undefined ? {} : { user }), ...(port === undefined ? {} : { port: Number(port) }) };
}

export interface ForwardWord {
  readonly bind?: string;
  readonly local: { readonly port: number } | { readonly socket: string };
  readonly remote: { readonly host: string; readonly port: number } | { readonly socket: string };
}

/** `[bind:]port:host:hostport` and its forms with sockets. Undefined if it is none of them. */
export function parseForward(text: string): ForwardWord | undefined {
  const fields = fieldsOf(text);
  if (fields === undefined) return undefined;
  const isSocket = (field: string | undefined): boolean => field?.startsWith('/') === true;
  const port = (field: string | undefined): number | undefined =>
    field !== undefined && /^\d{1,5}$/.test(field) && Number(field) <= 65535 ? Number(field) : undefined;
  const last = fields.at(-1);
  if (isSocket(fields[0])) {
    const remote = remoteOf(fields.slice(1));
    return remote === undefined ? undefined : { local: { socket: fields[0] ?? '' }, remote };
  }
  const remote = remoteOf(isSocket(last) ? fields.slice(-1) : fields.slice(-2));
  const before = fields.slice(0, isSocket(last) ? -1 : -2);
  const local = port(before.at(-1));
  if (remote === undefined || local === undefined || before.length > 2) return undefined;
  return { ...(before.length === 2 ? { bind: before[0] ?? '' } : {}), local: { port: local }, remote };

  function remoteOf(rest: readonly string[]): ForwardWord['remote'] | undefined {
    const [host = '', digits] = rest;
    if (rest.length === 1 && isSocket(host)) return { socket: host };
    const number = port(digits);
    return rest.length === 2 && host !== '' && number !== undefined && number > 0 ? { host, port: number } : undefined;
  }
}

/** Split at colons outside of brackets; a backslash keeps a colon. */
function fieldsOf(text: string): string[] | undefined {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const [whole, bracketed, plain = ''] = /^(?:\[([^\]]*)\]|((?:\\.|[^:\\])*))(?=:|$)/.exec(rest) ?? [];
    if (whole === undefined) return undefined;
    fields.push(bracketed ?? plain.replaceAll(/\\(.)/g, '$1'));
    if (rest.length === whole.length) return fields;
    rest = rest.slice(whole.length + 1);
  }
}
