// Flux's judgement of objects, by its own libraries: kstatus, and the expressions of a Kustomization's healthCheckExprs.
// Neighbours: program/ (the Go program); test/integration/docs/flux.test.ts asks about the table of docs/gitops.md.
import { join } from 'node:path';
import { command } from '../../../lab/process/command.ts';
import { goProgram } from '../go-program.ts';

export interface FluxVerdict {
  readonly kstatus: string;
  readonly expressions: string;
}

/** One verdict for each object. The first build takes a minute on two idle cores. */
export async function fluxVerdicts(objects: readonly object[], expressions: object): Promise<FluxVerdict[]> {
  const program = await goProgram({
    name: 'flux-judge',
    directory: join(import.meta.dirname, 'program'),
    package: '.',
    buildLimitMs: 25 * 60_000,
  });
  return JSON.parse(await command(program, [], { input: JSON.stringify({ objects, expressions }) })) as FluxVerdict[];
}
