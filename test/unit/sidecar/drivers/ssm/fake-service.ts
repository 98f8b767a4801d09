// A small Session Manager in this process: tickets through the driver's own interface and a real web socket on loopback. Faults are switches.
// Neighbour: fake-agent.ts, the agents behind it.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { TunnelError } from '../../../../../src/contract/errors.ts';
import type { SsmApi, StartRequest } from '../../../../../src/sidecar/drivers/ssm/aws/api.ts';
import { FakeAgent, Switches } from './fake-agent.ts';

export class FakeService extends Switches implements SsmApi {
  resumeError: TunnelError | undefined;
  startError: TunnelError | undefined;
  listError: TunnelError | undefined;
  sessionGone = false;
  /** So many of the next sockets are reset before they are open. */
  brokenUpgrades = 0;
  /** What the account's list of sessions shows beside our own. */
  readonly left: { readonly sessionId: string; readonly reason: string; readonly target: string }[] = [];
  readonly terminated: string[] = [];
  /** Managed nodes and whether they are connected. */
  readonly nodes = new Map<string, boolean>();
  readonly calls: string[] = [];
  readonly starts: StartRequest[] = [];
  readonly upgrades: { readonly authorization: string | undefined }[] = [];
  /** One for each session, in the order of their starts. */
  readonly agents: FakeAgent[] = [];
  readonly #tokens = new Map<string, FakeAgent>();
  #server: WebSocketServer | undefined;

  async start(): Promise<this> {
    this.#server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      verifyClient: ({ req }, accept) => {
        if (this.brokenUpgrades === 0) return accept(true);
        this.brokenUpgrades -= 1;
        req.socket.resetAndDestroy();
      },
    });
    this.#server.on('connection', (socket, request) => {
      this.upgrades.push({ authorization: request.headers.authorization });
      socket.once('message', (data: Buffer, isBinary) => {
        const { TokenValue: token } = JSON.parse(data.toString()) as { TokenValue: string };
        const agent = this.#tokens.get(token);
        this.#tokens.delete(token);
        if (isBinary || agent === undefined) socket.close(1008, 'token');
        else agent.accept(socket, request.socket);
      });
    });
    await once(this.#server, 'listening');
    return this;
  }

  async stop(): Promise<void> {
    for (const agent of this.agents) agent.stop();
    for (const client of this.#server?.clients ?? []) client.terminate();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  get origin(): string {
    const address = this.#server?.address() as AddressInfo | undefined;
    return `ws://127.0.0.1:${address?.port}`;
  }

  /** Sockets that are open now. */
  get sockets(): number {
    return this.#server?.clients.size ?? 0;
  }

  /** The agent of the session that was started last. */
  get agent(): FakeAgent {
    const last = this.agents.at(-1);
    if (last === undefined) throw new Error('no session was started');
    return last;
  }

  count(call: string): number {
    return this.calls.filter((one) => one === call).length;
  }

  // --- the control calls ---

  async startSession(request?: StartRequest) {
    this.calls.push('start');
    if (request !== undefined) this.starts.push(request);
    if (this.startError !== undefined) throw this.startError;
    const agent = new FakeAgent(`operator-${this.agents.length}`, this);
    this.agents.push(agent);
    return this.#ticket(agent);
  }

  async resumeSession(sessionId: string) {
    this.calls.push('resume');
    if (this.resumeError !== undefined) throw this.resumeError;
    const agent = this.agents.find((one) => one.sessionId === sessionId);
    return this.sessionGone || agent === undefined ? undefined : this.#ticket(agent);
  }

  async terminateSession(sessionId: string) {
    this.calls.push('terminate');
    this.terminated.push(sessionId);
  }

  async activeSessions(target?: string) {
    this.calls.push('list');
    if (this.listError !== undefined) throw this.listError;
    return this.left.filter((one) => target === undefined || one.target === target);
  }

  async findNodes() {
    return [...this.nodes.keys()];
  }

  async isConnected(target: string) {
    return this.nodes.get(target) === true;
  }

  async signUpgrade() {
    return { authorization: 'signed' };
  }

  close(): void {}

  #ticket(agent: FakeAgent) {
    const token = randomUUID();
    this.#tokens.set(token, agent);
    const { sessionId } = agent;
    return { sessionId, streamUrl: `${this.origin}/v1/data-channel/${sessionId}?cell=A+b/c`, token };
  }
}
