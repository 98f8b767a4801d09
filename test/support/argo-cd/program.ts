// Argo CD as its users run it, built from its Go module: one program that acts as repo server, application controller or command line, by
// the name that ARGOCD_BINARY_NAME gives.
// Neighbours: argo-cd.ts starts it; program/ has the go.mod that pins it.
import { join } from 'node:path';
import { command } from '../../../lab/process/command.ts';
import { findGo } from '../../../lab/programs/go.ts';
import { goProgram } from '../go-program.ts';

const directory = join(import.meta.dirname, 'program');

/** The program's path. Its first build takes five minutes on two idle cores. */
export const argoCdProgram = (): Promise<string> =>
  goProgram({
    name: 'argocd',
    directory,
    package: 'github.com/argoproj/argo-cd/v3/cmd',
    buildLimitMs: 45 * 60_000,
  });

/** The folder of its sources, read-only, in Go's cache of modules. */
export async function argoCdSources(): Promise<string> {
  const go = await findGo((line) => void process.stderr.write(`${line}\n`));
  const download = ['mod', 'download', '-json', 'github.com/argoproj/argo-cd/v3'];
  const answer = await command(go.program, download, { cwd: directory, env: go.env, timeoutMs: 300_000 });
  return (JSON.parse(answer) as { readonly Dir: string }).Dir;
}
