// `portforward doctor -f FILE`: the way from this machine to each destination of a document, hop by hop with times, until the first fault.
// Neighbours: document-tunnel.ts (the document), ../sidecar/doctor/inspect.ts (the walk), ../sidecar/doctor/report.ts (the lines).
import { randomUUID } from 'node:crypto';
import { createLog } from '../process/log.ts';
import { run } from '../process/run.ts';
import { ByteBudget } from '../sidecar/base/byte-budget.ts';
import { inspect } from '../sidecar/doctor/inspect.ts';
import { Report, type ReportFormat } from '../sidecar/doctor/report.ts';
import { type DocumentOptions, laptopPermissions, tunnelOfDocument } from './document-tunnel.ts';
import { isUsageError } from './usage-error.ts';

export interface DoctorOptions extends Omit<DocumentOptions, 'ports'> {
  readonly output: ReportFormat;
  /** Writes the driver's own log to standard error. */
  readonly verbose: boolean;
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** A step of the walk failed. */
class FaultFound extends Error {
  override readonly name = 'FaultFound';
}

/** Ends the process: exit code 0 if every step succeeded or after Ctrl-C, 1 after a fault, 2 after a wrong call. */
export async function doctor(options: DoctorOptions): Promise<never> {
  const log = createLog({
    level: options.verbose ? 'debug' : 'silent',
    destination: { write: (line) => void process.stderr.write(line) },
  });
  const main = async (signal: AbortSignal): Promise<void> => {
    const { config } = await tunnelOfDocument({ ...options, ports: [] }, signal);
    const report = new Report(
      options.output,
      { namespace: config.namespace, name: config.name, from: 'this machine' },
      options.print,
    );
    await inspect({
      config,
      podUid: randomUUID(),
      log,
      budget: new ByteBudget(),
      environment: process.env,
      permissions: laptopPermissions(options),
      signal,
      onStep: (step) => report.step(step),
    });
    report.end();
    if (!report.ok) throw new FaultFound();
  };
  return run(main, {
    log,
    exitCodeOf: (error) => (isUsageError(error) ? 2 : 1),
    report: (error) => {
      // Its lines are printed already.
      if (error instanceof FaultFound) return;
      options.complain(error instanceof Error ? error.message : String(error));
    },
  });
}
