// A git repository on this machine: what a team pushes to, and what Argo CD reads by a file:// address.
// Neighbours: argo-cd.ts; test/cluster/argo-cd.test.ts commits to it.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { command } from '../../../lab/process/command.ts';

export class GitRepository implements Disposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(): Promise<GitRepository> {
    const repository = new GitRepository(mkdtempSync(join(tmpdir(), 'portforward-git-')));
    await repository.#git('init', '--quiet', '--initial-branch', 'main');
    return repository;
  }

  get url(): string {
    return `file://${this.#directory}`;
  }

  /** Copies a folder of the product to the same path of the next commit. */
  copy(from: string, path: string): void {
    cpSync(from, join(this.#directory, path), { recursive: true });
  }

  /** One commit: files with their new text, `undefined` for one that goes. Returns its hash. */
  async commit(subject: string, files: Readonly<Record<string, string | undefined>>): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.#directory, path);
      mkdirSync(dirname(file), { recursive: true });
      if (text === undefined) rmSync(file);
      else writeFileSync(file, text);
    }
    await this.#git('add', '--all');
    await this.#git('commit', '--quiet', '--message', subject);
    return (await this.#git('rev-parse', 'HEAD')).trim();
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #git(...args: readonly string[]): Promise<string> {
    const who = ['-c', 'user.name=Team', '-c', 'user.email=team@example.com', '-c', 'commit.gpgsign=false'];
    return command('git', ['-C', this.#directory, ...who, ...args]);
  }
}
