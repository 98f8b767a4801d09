// The Session Manager service of service/ as a child process: real HTTP, real web sockets, and an agent on the multiplexer that AWS's own
// agent uses; on loopback, or on a machine of the private network and then over TLS. It ends with this process.
// Neighbours: go-program.ts builds it; service/switches.go has its deliberate faults.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { Agent, fetch } from 'undici';
import { goProgram } from '../go-program.ts';

/** Switches of the service; service/switches.go says what each does. */
export interface Switches {
  readonly AgentVersion?: string;
  readonly LossPercent?: number;
  readonly DoublePercent?: number;
  readonly ReorderPercent?: number;
  readonly DelayMs?: number;
  readonly Pace?: boolean;
  readonly Limiter?: boolean;
  readonly LargestPayload?: number;
  readonly Silent?: boolean;
  readonly ByeAfterMs?: number;
  readonly IdleTimeoutMs?: number;
  readonly MaxSessionMs?: number;
  readonly PluginDelayMs?: number;
  readonly DialDelayMs?: number;
  readonly KeepAliveTimeoutMs?: number;
  readonly KMS?: boolean;
  readonly Nodes?: Readonly<Record<string, ManagedNode>>;
  readonly Hosts?: Readonly<Record<string, string>>;
  readonly BlackHoles?: readonly string[];
  readonly Errors?: Readonly<Record<string, InjectedError>>;
  readonly StartGapMs?: number;
  readonly TokenMs?: number;
  readonly SpoilTokens?: number;
  readonly NoResumeToken?: boolean;
  readonly Keys?: Readonly<Record<string, AccessKey>>;
  readonly Roles?: Readonly<Record<string, { readonly ExternalID?: string; readonly WebTokens?: readonly string[] }>>;
  readonly CredentialsMs?: number;
  readonly ExpiredWebTokens?: readonly string[];
  readonly Tasks?: readonly Task[];
  readonly SignedUpgrade?: boolean;
  readonly ClockMs?: number;
}

interface ManagedNode {
  readonly Connected: boolean;
  readonly Tags?: Readonly<Record<string, string>>;
  readonly AgentVersion?: string;
}

interface InjectedError {
  readonly Type: string;
  readonly Message?: string;
  readonly Status?: number;
  readonly Times?: number;
}

interface AccessKey {
  readonly Secret: string;
  readonly Token?: string;
  readonly User?: string;
  readonly Expired?: boolean;
}

interface Task {
  readonly Cluster: string;
  readonly Service: string;
  readonly ID: string;
  /** Container to its runtime id. */
  readonly Containers: Readonly<Record<string, string>>;
  readonly Stopped?: boolean;
  readonly NoExec?: boolean;
}

/** Actions on sessions; service/orders.go says what each does. */
export type Order =
  | 'cut'
  | 'bye'
  | 'end'
  | 'reconnect'
  | 'giveup'
  | 'restart'
  | 'evict'
  | 'vanish'
  | 'kill'
  | 'pause'
  | 'start';

/** Where the service and its agents run, which is also where destinations are dialled from. */
export interface SessionManagerPlace {
  /** Absent: this machine's own. */
  readonly namespace?: string;
  /** `address:port` in that namespace; port 0 takes a free one. */
  readonly listen: string;
  readonly tls: {
    /** The host name for clients, which the certificate is for. */
    readonly name: string;
    /** Files. */
    readonly certificate: string;
    readonly key: string;
    /** The authority of the certificate, as PEM. */
    readonly authority: string;
  };
}

/** What the service saw. */
export interface Seen {
  readonly sessions: readonly {
    readonly id: string;
    readonly reason: string;
    readonly target: string;
    readonly status: string;
  }[];
  readonly calls: Readonly<Record<string, number>>;
  /** Streams that agents accepted, and data messages of clients, since the start. */
  readonly streams: number;
  /** Streams that agents hold now. */
  readonly open: number;
  readonly inputs: number;
  /** Violations of the protocol by clients. */
  readonly complaints: readonly string[] | null;
}

type ServiceProcess = ChildProcessByStdio<Writable, Readable, null>;

export class SessionManager {
  readonly #child: ServiceProcess;
  /** The endpoint of the JSON API; data channels have the same origin. */
  readonly endpoint: string;
  /** The same by its address, which resolves everywhere. */
  readonly #control: string;
  readonly #agent: Agent;

  /** Default: on loopback without TLS. */
  static async start(place?: SessionManagerPlace): Promise<SessionManager> {
    const directory = join(import.meta.dirname, 'service');
    const program = await goProgram({ name: 'ssm-service', directory, package: '.' });
    const [first = program, ...rest] = place === undefined ? [] : commandAt(place, program);
    const child = spawn(first, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return new SessionManager(child, (JSON.parse(line) as { address: string }).address, place?.tls);
  }

  private constructor(child: ServiceProcess, address: string, tls: SessionManagerPlace['tls'] | undefined) {
    this.#child = child;
    const port = address.slice(address.lastIndexOf(':'));
    this.endpoint = tls === undefined ? `http://${address}` : `https://${tls.name}${port}`;
    this.#control = `${tls === undefined ? 'http' : 'https'}://${address}/control`;
    this.#agent = new Agent(tls === undefined ? {} : { connect: { ca: tls.authority, servername: tls.name } });
  }

  /** The keys that it accepts by default. */
  get credentials(): { readonly accessKeyId: string; readonly secretAccessKey: string } {
    return { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
  }

  async set(switches: Switches): Promise<void> {
    await this.#ask({ set: switches });
  }

  /** Acts on every session, or on those of one target; a lasting action takes `ms`. */
  async order(what: Order, ms = 0, target = ''): Promise<void> {
    await this.#ask({ do: what, ms, target });
  }

  /** Freezes the whole service, including its agents and their connections, until `thaw`. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async seen(): Promise<Seen> {
    return this.#ask();
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    await this.#agent.close();
  }

  async #ask(order?: unknown): Promise<Seen> {
    const response = await fetch(this.#control, {
      dispatcher: this.#agent,
      ...(order === undefined ? {} : { method: 'POST', body: JSON.stringify(order) }),
    });
    if (!response.ok) throw new Error(`the service refused: ${await response.text()}`);
    return (await response.json()) as Seen;
  }
}

function commandAt({ namespace, listen, tls }: SessionManagerPlace, program: string): string[] {
  const { name, certificate, key } = tls;
  const flags = ['-listen', listen, '-name', name, '-certificate', certificate, '-key', key];
  if (namespace === undefined) return [program, ...flags];
  return ['ip', 'netns', 'exec', namespace, program, ...flags];
}
