// What the OpenTelemetry Collector takes from the traces that we send, by its own decoder.
// Neighbours: program/ (the Go program), ../trace-collector.ts (receives them), test/integration/sidecar/tracing.test.ts (asks).
import { join } from 'node:path';
import { command } from '../../../lab/process/command.ts';
import { goProgram } from '../go-program.ts';

export interface CollectedSpan {
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly kind: string;
  /** With nanoseconds, as far as there are any. */
  readonly begun: string;
  readonly ended: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly events: readonly {
    readonly name: string;
    readonly at: string;
    readonly attributes: Readonly<Record<string, string>>;
  }[];
  readonly status: 'Ok' | 'Error' | 'Unset';
  readonly message: string;
}

/** The spans of these bodies, in order. The first build takes seconds. @throws CommandFailed for a body that the Collector refuses. */
export async function collectorReads(bodies: readonly string[]): Promise<CollectedSpan[]> {
  const program = await goProgram({
    name: 'otlp-judge',
    directory: join(import.meta.dirname, 'program'),
    package: '.',
  });
  return JSON.parse(await command(program, [], { input: JSON.stringify(bodies) })) as CollectedSpan[];
}
