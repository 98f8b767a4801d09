// Who this process is to the kernel: root with all its users, or the only user of a user namespace, as `unshare --map-root-user` makes
// it. The second can change to no other user, and shows a server that refuses root another number for itself instead.
// Neighbours: the servers of lab/private-network start by it.
import { readFileSync } from 'node:fs';

/** True where no user but this one exists. */
export function isOnlyUser(): boolean {
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  const [, , count] = ranges[0]?.trim().split(/\s+/) ?? [];
  return ranges.length === 1 && count === '1';
}

/** The words before a command that runs it as this user and group. */
export function asUser(uid: number, gid: number): string[] {
  return isOnlyUser()
    ? ['unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--']
    : ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'];
}
