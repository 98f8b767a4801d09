// A machine with a home of its own: real files in a folder, nothing of the system, no environment.
// Neighbours: the tests beside it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Machine, thisMachine } from '../../../../src/cli/from/machine.ts';

export class Home {
  readonly path = mkdtempSync(join(tmpdir(), 'portforward-home-'));
  readonly environment: Record<string, string> = {};

  /** Writes a file below the home; gives its path. */
  write(name: string, content: string): string {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  get machine(): Machine {
    const here = thisMachine();
    const ours = (path: string): boolean => path.startsWith(`${this.path}/`);
    return {
      home: this.path,
      user: 'ada',
      uid: 1000,
      hostName: 'laptop.example.com',
      environment: this.environment,
      read: (path) => (ours(path) ? here.read(path) : undefined),
      exists: (path) => ours(path) && here.exists(path),
      glob: (pattern) => here.glob(pattern).filter(ours),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
