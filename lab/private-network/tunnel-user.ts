// The user `tunnel` of a bastion, and the names that it knows, as an /etc of its own.
// Neighbours: sshd.ts and test/support/bastions start servers with it, own-etc.ts mounts it.
import { existsSync, readFileSync } from 'node:fs';
import { command } from '../process/command.ts';
import { isOnlyUser } from '../process/user.ts';
import type { OwnFile } from './own-etc.ts';

/** User and group of `tunnel`. */
export const tunnelId = 65_533;

export interface TunnelUserOptions {
  /** Default: none that could be typed. */
  readonly password?: string;
  /** Names that resolve, as lines of /etc/hosts. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Default: a directory that does not exist. */
  readonly home?: string;
  /** What follows the password in /etc/shadow. Default: changed long ago, nothing expires. `0::::::` is `chage -d 0`, `19000:::::1:` is `chage -E 1`. */
  readonly ages?: string;
  /** Lines of /etc/pam.d/sshd. Default: the machine's. */
  readonly pam?: readonly string[];
}

/** What differs from the machine's /etc: one more user, `tunnel` (sshd's own users are the machine's), and the only names that resolve. */
export async function etcWithTunnel({
  password,
  hosts,
  home = '/nonexistent',
  ages = '19000::::::',
  pam,
}: TunnelUserOptions): Promise<Readonly<Record<string, OwnFile>>> {
  const hash =
    password === undefined ? '*' : (await command('openssl', ['passwd', '-6', '-stdin'], { input: password })).trim();
  const own = (name: string): string => (existsSync(`/etc/${name}`) ? readFileSync(`/etc/${name}`, 'utf8').trim() : '');
  const names = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(([name, ip]) => `${ip} ${name}`);
  return {
    passwd: { content: `${own('passwd')}\ntunnel:x:${tunnelId}:${tunnelId}::${home}:/bin/sh\n` },
    // Passwords are for root's sshd only: no other may read the machine's.
    ...(isOnlyUser() ? {} : { shadow: { content: `${own('shadow')}\ntunnel:${hash}:${ages}\n`, mode: 0o600 } }),
    ...(pam === undefined ? {} : { 'pam.d/sshd': { content: `${pam.join('\n')}\n` } }),
    group: { content: `${own('group')}\ntunnel:x:${tunnelId}:\n` },
    hosts: { content: `${names.join('\n')}\n::1 localhost\n` },
    // No name but these, whatever the machine would ask, and however long that would take.
    'nsswitch.conf': { content: 'passwd: files\nshadow: files\ngroup: files\nhosts: files\n' },
  };
}
