// `portforward open`: the same tunnel from the same document, on this machine, without a cluster. sidecar/sidecar.ts does the
// work; this file gives it its document, its Secrets, its local ports, and prints what happens.
// Neighbours: document-tunnel.ts (the document and its Secrets), state-lines.ts.
import { randomUUID } from 'node:crypto';
import { hostPort } from '../contract/ip-address.ts';
import { destinationText, type TunnelConfig } from '../contract/tunnel-config.ts';
import { onAbort } from '../process/abort.ts';
import { createLog, type Logger } from '../process/log.ts';
import { run } from '../process/run.ts';
import { type Sidecar, startSidecar } from '../sidecar/sidecar.ts';
import { type DocumentOptions, laptopPermissions, tunnelOfDocument } from './document-tunnel.ts';
import { interventionReason, StateLines, type UsedSecrets } from './state-lines.ts';
import { isUsageError, UsageError } from './usage-error.ts';

export interface OpenOptions extends DocumentOptions {
  readonly address: string;
  /** Writes the tunnel's own log to standard error. */
  readonly verbose: boolean;
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** The tunnel cannot connect until a person fixes something; the message says what. */
class InterventionNeeded extends Error {
  override readonly name = 'InterventionNeeded';
}

/** Runs until Ctrl-C (exit code 0), a failure that a person must fix (1) or a wrong call (2), and ends the process. */
export async function open(options: OpenOptions): Promise<never> {
  const log = createLog({
    level: options.verbose ? 'debug' : 'silent',
    destination: { write: (line) => void process.stderr.write(line) },
  });
  return run((signal) => runTunnel(options, log, signal), {
    log,
    exitCodeOf: (error) => (isUsageError(error) ? 2 : 1),
    report: (error) => options.complain(error instanceof Error ? error.message : String(error)),
  });
}

async function runTunnel(options: OpenOptions, log: Logger, signal: AbortSignal): Promise<void> {
  const { config, secrets, keys } = await tunnelOfDocument(options, signal);
  const sidecar = await listen(config, options, log);
  try {
    announce(config, sidecar, options);
    await watch(sidecar, { secrets, keys }, options.print, signal);
  } finally {
    // No drain on a laptop: Ctrl-C means now.
    await sidecar.stop({ drainMs: 0 });
  }
}

async function listen(config: TunnelConfig, options: OpenOptions, log: Logger): Promise<Sidecar> {
  const { address } = options;
  const permissions = laptopPermissions(options);
  try {
    return await startSidecar(config, { podUid: randomUUID(), address, log, environment: process.env, permissions });
  } catch (error) {
    const { code, port } = error as NodeJS.ErrnoException & { readonly port?: number };
    const forward = config.forwards.find(({ listenPort }) => listenPort === port);
    if (forward === undefined) throw error;
    const remedy = `--port ${freeNeighbour(forward.listenPort)}:${forward.port}`;
    const where = hostPort(address, forward.listenPort);
    if (code === 'EADDRINUSE')
      throw new UsageError(`${where} is taken by another program: choose another with ${remedy}`);
    if (code === 'EACCES')
      throw new UsageError(`this user may not listen on ${where}: choose a higher port with ${remedy}`);
    if (code === 'EADDRNOTAVAIL') throw new UsageError(`--address ${address}: this machine does not have that address`);
    throw error;
  }
}

/** 5432 → 15432, as people usually choose. */
const freeNeighbour = (port: number): number => (port + 10_000 <= 65_535 ? port + 10_000 : port - 10_000);

function announce(config: TunnelConfig, sidecar: Sidecar, { print, address }: OpenOptions): void {
  for (const { name, host, port } of sidecar.ports) {
    const forward = config.forwards.find((each) => each.name === name);
    const destination = forward === undefined ? '' : destinationText(forward.destination);
    print(`${hostPort(host, port)} → ${destination} (${name})`);
  }
  if (!/^(127\.|::1$|localhost$)/.test(address)) {
    print(`shared: everybody who reaches this machine at ${address} reaches these destinations`);
  }
}

/** Prints every change until the signal aborts. @throws InterventionNeeded. */
async function watch(
  sidecar: Sidecar,
  here: UsedSecrets,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const lines = new StateLines();
  const ended = Promise.withResolvers<void>();
  const look = (): void => {
    const status = sidecar.status();
    const reason = interventionReason(status, here);
    if (reason !== undefined) {
      // The last line says it; no line before it may say that it is tried again.
      ended.reject(new InterventionNeeded(reason));
      return;
    }
    for (const line of lines.next(status)) print(`${new Date().toTimeString().slice(0, 8)} ${line}`);
  };
  using _ = onAbort(signal, () => ended.resolve());
  const unsubscribe = sidecar.onChange(look);
  try {
    look();
    if (signal.aborted) return;
    await ended.promise;
  } finally {
    unsubscribe();
  }
}
