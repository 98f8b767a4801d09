// `kubectl portforward` as a person has it: the plugin in PATH under its name, called through kubectl itself.
// Neighbours: status.test.ts, ../laptop.ts.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { cachedProgram } from '../../../../lab/base/places.ts';
import { Child } from '../../../../lab/process/child.ts';
import { command } from '../../../../lab/process/command.ts';

const main = join(import.meta.dirname, '..', '..', '..', '..', 'src', 'main.ts');

/** A folder with the plugin, to be put into PATH. The caller removes it. */
export class Plugin {
  readonly #folder = mkdtempSync(join(tmpdir(), 'portforward-plugin-'));
  readonly env: Readonly<Record<string, string>>;

  constructor(kubeconfig: string, env: Readonly<Record<string, string>> = {}) {
    mkdirSync(join(this.#folder, 'named'));
    for (const name of ['kubectl-portforward', 'kubectl_complete-portforward']) {
      const link = join(this.#folder, 'named', name);
      symlinkSync(main, link);
      const script = `#!/bin/sh\nexec '${process.execPath}' '${link}' "$@"\n`;
      writeFileSync(join(this.#folder, name), script, { mode: 0o755 });
    }
    const path = [this.#folder, dirname(cachedProgram('kubectl')), process.env['PATH'] ?? ''].join(delimiter);
    this.env = { ...env, KUBECONFIG: kubeconfig, PATH: path };
  }

  /** Resolves with what it printed. @throws CommandFailed */
  call(...args: readonly string[]): Promise<string> {
    return this.kubectl('portforward', ...args);
  }

  /** kubectl itself, with the plugin in its PATH. */
  kubectl(...args: readonly string[]): Promise<string> {
    return command('kubectl', args, { env: this.env, timeoutMs: 60_000 });
  }

  /** Starts a command that goes on. The caller stops it. */
  start(...args: readonly string[]): Child {
    return new Child('kubectl portforward', 'kubectl', ['portforward', ...args], { env: this.env });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
