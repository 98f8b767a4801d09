// The walk inside a running tunnel pod, asked for over a unix socket that only the pod's own user may open: whoever may `kubectl exec` into
// the pod. It runs here, beside the tunnel, because a second whole process could cost the pod its memory limit.
// Neighbours: sidecar.ts starts it, cli/ask-tunnel.ts asks, inspect.ts is the walk, report.ts the lines.
import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { DoctorMessage } from '../../contract/doctor.ts';
import type { TunnelConfig } from '../../contract/tunnel-config.ts';
import type { TunnelStatus } from '../../contract/tunnel-status.ts';
import { onAbort } from '../../process/abort.ts';
import { walkBegins, walkerOf } from '../base/walker.ts';
import type { DriverSurroundings } from '../drivers/index.ts';
import { inspect } from './inspect.ts';
import { Report } from './report.ts';

export interface DoctorServerOptions {
  /** Where the socket is made; one that an earlier process left there is replaced. */
  readonly path: string;
  readonly config: TunnelConfig;
  readonly surroundings: DriverSurroundings;
  /** The pod's name. */
  readonly pod: string;
  readonly status: () => TunnelStatus;
  /** Ends the server and a walk that is under way. */
  readonly signal: AbortSignal;
}

/** Clients at one moment; one of them walks, the others are told so. */
const maxClients = 8;

/**
 * Resolves when it listens. A failure is logged: the tunnel does not depend on it. The function that it gives resolves when no walk is under
 * way: after `signal` a walk still closes what it opened at a cloud.
 */
export async function serveDoctor(options: DoctorServerOptions): Promise<() => Promise<void>> {
  const { path, signal, surroundings } = options;
  const { log } = surroundings;
  let isWalking = false;
  let walked: Promise<void> = Promise.resolve();
  const untilWalked = async (): Promise<void> => await walked;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (isWalking) {
      send(socket, { error: 'another doctor walks in this pod now: call again in a moment' });
      socket.end();
      return;
    }
    isWalking = true;
    walked = answer(socket, options).finally(() => {
      isWalking = false;
      socket.end();
    });
  });
  server.maxConnections = maxClients;
  server.on('error', (error) => log.warn({ error }, 'the socket of doctor reported an error'));
  try {
    await rm(path, { force: true });
    server.listen(path);
    await once(server, 'listening', { signal });
    await chmod(path, 0o600);
  } catch (error) {
    server.close();
    if (!signal.aborted) log.warn({ error, path }, 'doctor is not available in this pod');
    return untilWalked;
  }
  const closing = onAbort(signal, () => server.close());
  server.once('close', () => closing[Symbol.dispose]());
  return untilWalked;
}

/** One client: the format that it wants, then the walk. Never rejects. */
async function answer(socket: Socket, options: DoctorServerOptions): Promise<void> {
  const { config, surroundings, pod, status, signal } = options;
  const { log } = surroundings;
  const gone = new AbortController();
  socket.once('close', () => gone.abort(new Error('nobody waits for the walk any more')));
  using _ = onAbort(signal, (reason) => gone.abort(reason));
  try {
    const format = await firstLine(socket, gone.signal);
    if (format !== 'text' && format !== 'json') throw new Error('asked for a format that it does not have');
    const subject = { namespace: config.namespace, name: config.name, from: `pod ${pod}`, tunnel: stateOf(status()) };
    using _walk = walkBegins();
    const report = new Report(format, subject, (line) => send(socket, { line }));
    await inspect({
      ...surroundings,
      config: withoutTraces(config),
      podUid: walkerOf(surroundings.podUid),
      signal: gone.signal,
      onStep: (step) => report.step(step),
    });
    report.end();
    send(socket, { exit: report.ok ? 0 : 1 });
  } catch (error) {
    if (signal.aborted) send(socket, { error: 'the tunnel is shutting down' });
    else if (!gone.signal.aborted) {
      log.error({ error }, 'doctor failed in an unforeseen way');
      send(socket, { error: 'the walk failed in an unforeseen way: the log of the tunnel has the cause' });
    }
  }
}

/** fly: the tunnel keeps its peer's key in the directory, and the walk has a peer of its own. */
function withoutTraces(config: TunnelConfig): TunnelConfig {
  return config.driver === 'fly' ? { ...config, fly: { ...config.fly, directory: '' } } : config;
}

async function firstLine(socket: Socket, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: socket });
  try {
    const [line] = (await once(lines, 'line', { signal })) as [string];
    return line;
  } finally {
    lines.close();
    // Closing the reader pauses the socket, and a paused one does not notice that its client has gone.
    socket.resume();
  }
}

function send(socket: Socket, message: DoctorMessage): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

function stateOf({ state, via, message, ports }: TunnelStatus): string {
  const clients = ports.reduce((sum, port) => sum + (port.clients ?? 0), 0);
  const way = via === undefined ? '' : ` via ${via}`;
  return `${state}${way}${message === undefined ? '' : `: ${message}`}; ${clients} client connections`;
}
