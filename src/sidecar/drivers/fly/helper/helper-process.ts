// The helper as a child process: started, asked, watched and ended. It is gone when `signal` aborts: it exited, it did not answer a ping in
// time and was killed, or we closed it.
// Neighbours: commands.go is the other end, driver.ts keeps one running, session.ts asks it about its device.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { TunnelError } from '../../../../contract/errors.ts';
import { abortable } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import { deadline } from '../../../../process/deadline.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import { cpuTicks } from './cpu-time.ts';
import { FrameMemory } from './frame-memory.ts';
import { HelperError } from './helper-error.ts';
import { helperName } from './program.ts';
import { type HelperStream, openStream } from './stream.ts';

export interface HelperOptions {
  readonly program: string;
  /** Where the socket's folder is made; must be writable, and its path short: a socket's path has at most 107 bytes. */
  readonly directory: string;
  /** The proxy for web sockets. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface DeviceStats {
  /** When the last handshake was completed, in milliseconds of Unix time; 0: none yet. */
  readonly handshakeAtMs: number;
  /** Since a packet of the network arrived; -1: none yet. */
  readonly silentMs: number;
  readonly received: number;
  readonly sent: number;
  readonly streams: number;
  readonly transport: 'udp' | 'websocket';
  readonly transportError?: string | undefined;
}

/** A helper that answers nothing for this long is stopped or hangs: it is killed. */
const pingMs = 500;
const pingDeadlineMs = 3_000;
/** One that has used CPU time since this long after the ping works, and is short of it: it has the time again, so often. */
const watchedFromMs = 1_000;
const maxExtensions = 3;
/** An answer that waits to be read after a stall of our own is read within this time, and counts. */
const readingMs = 250;
/** More than it takes to send the last packets of a device. The time at a pod's end belongs to the removal of its peer. */
const closeDeviceMs = 2_000;
/** A helper that was asked to end by the end of its input is killed after this. */
const endMs = 2_000;
/** The helper's own buffers, as part of what all buffers of the pod may hold: 16 KiB in packets each for a thousand streams that nobody reads. */
const helperBytes = 24 * 1024 * 1024;
const proxyVariables = ['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'];

const answerSchema = z.object({
  id: z.number(),
  error: z.object({ kind: z.string(), message: z.string() }).optional(),
  addresses: z.array(z.string()).optional(),
  rttMs: z.number().optional(),
  stats: z
    .object({
      handshakeAtMs: z.number(),
      silentMs: z.number(),
      received: z.number(),
      sent: z.number(),
      streams: z.number(),
      transport: z.enum(['udp', 'websocket']),
      transportError: z.string().optional(),
    })
    .optional(),
});
type Answer = z.infer<typeof answerSchema>;

export class HelperProcess {
  readonly #child: ChildProcess;
  readonly #options: HelperOptions;
  readonly #folder: string;
  readonly #token = randomBytes(32).toString('hex');
  readonly #ended = new AbortController();
  readonly #memory: FrameMemory;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (answer: Answer) => void; readonly reject: (error: unknown) => void }
  >();
  #nextId = 1;
  #cancelPing: () => void = () => undefined;
  #lastWords = '';

  /** A helper that answers. @throws TunnelError HelperMissing or HelperFailed, or the signal's reason */
  static async start(options: HelperOptions, { signal }: { readonly signal: AbortSignal }): Promise<HelperProcess> {
    const folder = await mkdtemp(join(options.directory, 'fly-'));
    const helper = new HelperProcess(folder, options);
    try {
      await abortable(helper.#ask({ op: 'start', socket: helper.#socketPath, token: helper.#token }), { signal });
      helper.#ping();
      return helper;
    } catch (error) {
      await helper.close();
      signal.throwIfAborted();
      throw error instanceof HelperError
        ? new TunnelError('HelperFailed', 'the fly helper could not begin', { cause: error })
        : error;
    }
  }

  private constructor(folder: string, options: HelperOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#memory = new FrameMemory(options.budget);
    const environment: Record<string, string> = {};
    for (const name of proxyVariables) {
      const value = options.environment[name];
      if (value !== undefined) environment[name] = value;
    }
    options.budget.take(helperBytes);
    this.#child = spawn(options.program, [], { stdio: ['pipe', 'pipe', 'pipe'], env: environment });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    this.#child.on('error', (cause: NodeJS.ErrnoException) => {
      const missing = cause.code === 'ENOENT';
      this.#end(
        new TunnelError(
          missing ? 'HelperMissing' : 'HelperFailed',
          missing
            ? `this build has no fly helper: put ${helperName} of a release beside the command, build it with Go, or use the image`
            : 'the fly helper could not be started',
          { cause },
        ),
      );
      resolve();
    });
    this.#child.on('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      if (this.#lastWords !== '') options.log.warn({ lastWords: this.#lastWords }, 'last words of the fly helper');
      this.#end(new TunnelError('HelperFailed', `the fly helper ended ${how}`));
      resolve();
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString('utf8')).slice(-500);
    });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    }
  }

  /** Aborts with a TunnelError once the helper is gone. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** A device without a transport. @throws HelperError, or the reason why the helper is gone */
  async openDevice(device: {
    readonly device: string;
    readonly privateKey: string;
    readonly gatewayKey: string;
    readonly address: string;
    readonly mtu: number;
  }): Promise<void> {
    await this.#ask({ op: 'open', ...device });
  }

  /** Streams live on. `endpoint` is `address:port` for udp, a wss URL for websocket. */
  async setTransport(device: string, transport: 'udp' | 'websocket', endpoint: string): Promise<void> {
    await this.#ask({ op: 'transport', device, transport, endpoint });
  }

  async handshake(device: string): Promise<void> {
    await this.#ask({ op: 'handshake', device });
  }

  async stats(device: string): Promise<DeviceStats> {
    const { stats } = await this.#ask({ op: 'stats', device });
    if (stats === undefined) throw new HelperError('internal', 'no figures');
    return stats;
  }

  /** The round trip to the network's own server in milliseconds. @throws HelperError of kind timeout */
  async echo(device: string, timeoutMs: number): Promise<number> {
    return (await this.#ask({ op: 'echo', device, timeoutMs })).rttMs ?? 0;
  }

  /** At least one IPv6 address. @throws HelperError of kind notFound, timeout or nameServer */
  async resolve(device: string, name: string, timeoutMs: number): Promise<readonly string[]> {
    return (await this.#ask({ op: 'resolve', device, name, timeoutMs })).addresses ?? [];
  }

  /** Aborts every stream of the device, then forgets it. Waits 2 s for a helper that hangs, which is ended soon. Never throws. */
  async closeDevice(device: string): Promise<void> {
    using limit = deadline(closeDeviceMs, { clock: this.#options.clock, what: 'closing the device' });
    await abortable(this.#ask({ op: 'close', device }), { signal: limit.signal }).catch(() => undefined);
  }

  async dial(
    device: string,
    to: { readonly address: string; readonly port: number; readonly timeoutMs: number },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<HelperStream> {
    const request = { socketPath: this.#socketPath, token: this.#token, device, ...to };
    const { budget, clock } = this.#options;
    return await openStream(request, { signal, budget, clock, memory: this.#memory });
  }

  /** Ends the helper with its input, by force if it takes too long. Resolves when the process and its folder are gone. */
  async close(): Promise<void> {
    this.#end(new TunnelError('NotConnected', 'the tunnel was closed'));
    this.#child.stdin?.end();
    const cancel = this.#options.clock.after(endMs, () => this.#child.kill('SIGKILL'));
    await this.#exited;
    cancel();
    this.#memory.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #socketPath(): string {
    return join(this.#folder, 'streams.sock');
  }

  async #ask(request: Readonly<Record<string, unknown>>): Promise<Answer> {
    this.signal.throwIfAborted();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, { resolve, reject });
    this.#child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    const answer = await promise;
    if (answer.error !== undefined) throw new HelperError(answer.error.kind, answer.error.message);
    return answer;
  }

  #take(line: string): void {
    let answer: Answer;
    try {
      answer = answerSchema.parse(JSON.parse(line));
    } catch (cause) {
      this.#kill(new TunnelError('HelperFailed', 'the fly helper sent an unreadable answer', { cause }));
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    waiting?.resolve(answer);
  }

  /** Pings until the end; a ping without an answer in time is the end. */
  #ping(): void {
    if (this.signal.aborted) return;
    const { clock } = this.#options;
    this.#cancelPing = clock.after(watchedFromMs, () => this.#watch(pingDeadlineMs - watchedFromMs, maxExtensions));
    this.#ask({ op: 'ping' }).then(
      () => {
        this.#cancelPing();
        if (!this.signal.aborted) this.#cancelPing = clock.after(pingMs, () => this.#ping());
      },
      () => undefined,
    );
  }

  /** Ends a helper that has neither answered nor used CPU time after this long. */
  #watch(ms: number, extensions: number): void {
    const { clock } = this.#options;
    const before = cpuTicks(this.pid) ?? Number.POSITIVE_INFINITY;
    this.#cancelPing = clock.after(ms, () => {
      this.#cancelPing = clock.after(readingMs, () => {
        const isBusy = (cpuTicks(this.pid) ?? 0) > before;
        if (isBusy && extensions > 0) this.#watch(pingDeadlineMs, extensions - 1);
        else this.#kill(new TunnelError('HelperFailed', 'the fly helper did not answer and was ended'));
      });
    });
  }

  #kill(reason: TunnelError): void {
    this.#end(reason);
    this.#child.kill('SIGKILL');
  }

  #end(reason: TunnelError): void {
    if (this.signal.aborted) return;
    this.#cancelPing();
    this.#options.budget.giveBack(helperBytes);
    this.#ended.abort(reason);
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}
