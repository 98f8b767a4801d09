// The host keys of the way, taken from the known_hosts files that ssh would read: hashed names too, because each line is asked whether it
// means the host. In the document they stand under the names that a tunnel looks for.
// Neighbours: ssh-hops.ts, sidecar/drivers/ssh/login/known-hosts.ts (reads a line).
import { hostName, parseKnownHosts } from '../../sidecar/drivers/ssh/login/known-hosts.ts';
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import { expandPath, type SshHop } from './ssh-hops.ts';

export interface FoundHostKeys {
  /** Lines for spec.ssh.knownHosts, each once. */
  readonly lines: readonly string[];
  /** The files that they are from, as a person writes them. */
  readonly files: readonly string[];
  /** Only a certificate authority is known for it. */
  readonly hasAuthority: boolean;
}

const systemFiles = ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2'];
const userFiles = ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];

/** The keys of one machine. Empty if none is known. */
export function hostKeysOf(hop: SshHop, machine: Machine): FoundHostKeys {
  const { settings, host, port } = hop;
  const alias = settings.first('HostKeyAlias')?.words[0];
  const [name, at] = alias === undefined ? [host, port] : [alias, 22];
  const lines = new Set<string>();
  const files = new Set<string>();
  let hasAuthority = false;
  const given = (keyword: string, fallback: readonly string[]): readonly string[] =>
    settings.first(keyword)?.words ?? fallback;
  const paths = [...given('UserKnownHostsFile', userFiles), ...given('GlobalKnownHostsFile', systemFiles)];
  for (const path of paths.filter((each) => each.toLowerCase() !== 'none')) {
    const text = machine.read(expandPath(path, { ...hop, port: String(port), jump: '', key: name }, machine));
    for (const line of text?.split('\n') ?? []) {
      const known = parseKnownHosts(line);
      if (known.hasAuthority(name, at)) hasAuthority = true;
      const [marker, words] = wordsOf(line);
      if (marker === '@cert-authority' || !means(line, name, at)) continue;
      lines.add([...(marker === '' ? [] : [marker]), hostName(host, port), ...words].join(' '));
      files.add(path);
    }
  }
  return { lines: [...lines], files: [...files], hasAuthority };
}

/** Marker, and type and key: what is behind the names. A comment is left out. */
function wordsOf(line: string): readonly [string, readonly string[]] {
  const words = line.trim().split(/\s+/);
  const marker = words[0]?.startsWith('@') === true ? (words.shift() ?? '') : '';
  return [marker, words.slice(1, 3)];
}

/** A revoked line means the host too; it is asked as if it were not revoked. */
function means(line: string, name: string, port: number): boolean {
  return parseKnownHosts(line.replace(/^\s*@revoked\s+/, '')).knownKeyTypes(name, port).length > 0;
}

/** `ssh-keyscan` for a machine whose key is not known here. */
export function keyscan({ host, port }: Pick<SshHop, 'host' | 'port'>): string {
  if (/[\s'"\\]/.test(host)) throw new UsageError(`${host}: this is no host name`);
  return `ssh-keyscan${port === 22 ? '' : ` -p ${port}`} ${host}`;
}
