// What a command of this machine reads beside its own words: files, the environment, who and where it is. An interface, so that tests
// have a home of their own. No program is ever run.
// Neighbours: ssh-config.ts, aws-command.ts, fly-command.ts read through it.
import { globSync, readFileSync, statSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';

export interface Machine {
  readonly home: string;
  readonly user: string;
  readonly uid: number;
  readonly hostName: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Undefined if there is no such file or it may not be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** Paths that a pattern of the shell matches, sorted. */
  glob(pattern: string): readonly string[];
}

export function thisMachine(): Machine {
  // As ssh does, from the user database and not from HOME.
  const { homedir, username, uid } = userInfo();
  return {
    home: homedir,
    user: username,
    uid,
    hostName: hostname(),
    environment: process.env,
    read: (path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    exists: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
    glob: (pattern) => globSync(pattern).toSorted(),
  };
}
