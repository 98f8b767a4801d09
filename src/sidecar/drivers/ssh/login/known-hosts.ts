// Reads known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") and decides whether a host may be trusted with the key that it showed. Pure.
// @cert-authority lines are noted but never trusted: ssh2 does not offer host certificates in the key exchange, so none can arrive here.
// Neighbour: host-trust.ts joins several sources.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { leadingString } from '../base/ssh-string.ts';

export type HostVerdict = 'trusted' | 'unknown' | 'changed' | 'revoked';

interface Line {
  readonly marker: '' | '@revoked' | '@cert-authority';
  matches(name: string): boolean;
  readonly type: string;
  readonly blob: Buffer;
  /** In its text, from 1. */
  readonly number: number;
}

export interface KnownHosts {
  /** `changed` means that other keys, but not this one, are known for the host. Never throws. */
  verdict(host: string, port: number, blob: Buffer): HostVerdict;
  /** Types of the keys known for the host, each once, in the order of the lines; revoked keys do not count. */
  knownKeyTypes(host: string, port: number): readonly string[];
  /** True if a @cert-authority line names the host: it cannot be used, and the error says so. */
  hasAuthority(host: string, port: number): boolean;
  /** The line that decides about this key, as `line 3 of known_hosts`; undefined if none names it. */
  lineFor(host: string, port: number, blob: Buffer): string | undefined;
}

/** Skips lines that cannot be read, as OpenSSH does. `source`: what its lines are called in sentences. */
export function parseKnownHosts(text: string, source = 'known_hosts'): KnownHosts {
  const lines = text.split(/\r?\n/).flatMap((line, index) => parseLine(line, index + 1) ?? []);

  /** The lines for `[host]:port`; if there are none, those for the bare host, which OpenSSH accepts for any port. */
  const linesFor = (host: string, port: number) => {
    const exact = lines.filter((line) => line.matches(hostName(host, port)));
    if (port === 22 || exact.some((line) => line.marker === '')) return { lines: exact, bare: false };
    const bare = lines.filter((line) => line.matches(host.toLowerCase()));
    return { lines: [...exact, ...bare], bare: true };
  };

  return {
    verdict(host, port, blob) {
      const found = linesFor(host, port);
      const same = found.lines.filter((line) => line.blob.equals(blob));
      if (same.some((line) => line.marker === '@revoked')) return 'revoked';
      if (same.some((line) => line.marker === '')) return 'trusted';
      // A line without the port may describe another sshd on that machine: it can make a key trusted, but not changed.
      return !found.bare && found.lines.some((line) => line.marker === '') ? 'changed' : 'unknown';
    },
    knownKeyTypes(host, port) {
      const found = linesFor(host, port).lines;
      const revoked = found.filter((line) => line.marker === '@revoked');
      const usable = found.filter(
        (line) => line.marker === '' && !revoked.some((other) => other.blob.equals(line.blob)),
      );
      return [...new Set(usable.map((line) => line.type))];
    },
    hasAuthority: (host, port) => linesFor(host, port).lines.some((line) => line.marker === '@cert-authority'),
    lineFor(host, port, blob) {
      const same = linesFor(host, port).lines.filter((line) => line.blob.equals(blob));
      const line = same.find(({ marker }) => marker === '@revoked') ?? same.find(({ marker }) => marker === '');
      return line && `line ${line.number} of ${source}`;
    },
  };
}

/** The host as known_hosts writes it: bare for port 22, else `[host]:port`. */
export function hostName(host: string, port: number): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
}

/** The type that a key blob claims to have (RFC 4253 §6.6); '' if it is not a key. */
export function keyTypeOf(blob: Buffer): string {
  const type = leadingString(blob) ?? '';
  return type.length > 64 ? '' : type;
}

function parseLine(line: string, number: number): Line | undefined {
  const fields = line.trim().split(/\s+/);
  if (fields[0] === '' || fields[0]?.startsWith('#')) return undefined;
  let marker: Line['marker'] = '';
  if (fields[0]?.startsWith('@')) {
    const word = fields.shift();
    if (word !== '@revoked' && word !== '@cert-authority') return undefined;
    marker = word;
  }
  const [names, type, base64] = fields;
  if (names === undefined || type === undefined || base64 === undefined) return undefined;
  const blob = Buffer.from(base64, 'base64');
  if (keyTypeOf(blob) !== type) return undefined;
  const matches = names.startsWith('|') ? hashedName(names) : namePatterns(names);
  return matches === undefined ? undefined : { marker, matches, type, blob, number };
}

/** `|1|salt|hash`: HMAC-SHA1 of the name, keyed by the salt. */
function hashedName(field: string): Line['matches'] | undefined {
  const [, version, salt, hash] = field.split('|');
  if (version !== '1' || salt === undefined || hash === undefined) return undefined;
  const key = Buffer.from(salt, 'base64');
  const wanted = Buffer.from(hash, 'base64');
  return (name) => {
    const digest = createHmac('sha1', key).update(name).digest();
    return digest.length === wanted.length && timingSafeEqual(digest, wanted);
  };
}

/** A comma-separated list of patterns; a negated pattern that matches outweighs all others. */
function namePatterns(field: string): Line['matches'] {
  const patterns = field.split(',').map((text) => {
    const negated = text.startsWith('!');
    return { negated, matches: wildcard((negated ? text.slice(1) : text).toLowerCase()) };
  });
  return (name) => {
    const hits = patterns.filter((pattern) => pattern.matches(name));
    return hits.length > 0 && !hits.some((pattern) => pattern.negated);
  };
}

/** `*` matches any run, `?` any one character. Backtracks only to the last star, so that many stars do not take exponential time. */
function wildcard(pattern: string): Line['matches'] {
  if (!/[*?]/.test(pattern)) return (name) => name === pattern;
  return (name) => {
    let at = 0;
    let atPattern = 0;
    let star = -1;
    let resume = 0;
    while (at < name.length) {
      const character = pattern[atPattern];
      if (character === '*') {
        star = atPattern++;
        resume = at;
      } else if (character === '?' || character === name[at]) {
        atPattern++;
        at++;
      } else if (star >= 0) {
        atPattern = star + 1;
        at = ++resume;
      } else return false;
    }
    while (pattern[atPattern] === '*') atPattern++;
    return atPattern === pattern.length;
  };
}
