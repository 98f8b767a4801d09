// A small Session Manager in this process: tickets through the driver's own interface, a real web socket on loopback, and behind it an agent
// that answers the handshake and echoes every stream. It shares no codec with the driver. Faults are switches.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { TunnelError } from '../../../../../src/contract/errors.ts';
import type { SsmApi, StartRequest } from '../../../../../src/sidecar/drivers/ssm/aws/api.ts';
import { numbers } from '../../../../fuzz/ssm/decoders.ts';
import { naiveDecode, naiveEncode } from './naive-codec.ts';

/** What all agents of a service do; may change at any time. */
class Switches {
  /** What the agent asks in its handshake. */
  agentVersion = '3.3.987.0';
  actions: unknown = [
    {
      ActionType: 'SessionType',
      ActionParameters: { SessionType: 'Port', Properties: { type: 'LocalPortForwarding' } },
    },
  ];
  /** The share of messages lost and duplicated, each way. */
  loss = 0;
  doubled = 0;
  /** The agent neither acknowledges nor sends anything. */
  silent = false;
  /** Larger messages are lost on the way. */
  largestCarried = Number.POSITIVE_INFINITY;
  /** The agent refuses every stream. */
  refuses = false;
  /** The service ends the session right after the agent's answer to a NOP; both arrive together. */
  endsAfterNop = false;
}

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

/** The agent's side of one session. */
export class FakeAgent {
  readonly sessionId: string;
  readonly handshakeAnswers: unknown[] = [];
  readonly flags: number[] = [];
  readonly inputSequences: number[] = [];
  largestInput = 0;
  /** Only this agent neither acknowledges nor sends anything. */
  silent = false;
  readonly #switches: Switches;
  readonly #random = numbers(20_261_122);
  readonly #early = new Map<number, { readonly type: number; readonly payload: Buffer }>();
  readonly #unacknowledged = new Map<number, Uint8Array>();
  readonly #resend: NodeJS.Timeout;
  #socket: WebSocket | undefined;
  #expected = 0;
  #nextSequence = 0;
  #rest = Buffer.alloc(0);
  #completed = false;

  constructor(sessionId: string, switches: Switches) {
    this.sessionId = sessionId;
    this.#switches = switches;
    // The agent looks at its oldest message only, every 100 ms.
    this.#resend = setInterval(() => {
      const [oldest] = this.#unacknowledged.values();
      if (oldest !== undefined && !this.#isSilent) this.#transmit(oldest);
    }, 100);
  }

  get #isSilent(): boolean {
    return this.silent || this.#switches.silent;
  }

  stop(): void {
    clearInterval(this.#resend);
  }

  /** The hourly close. */
  bye(): void {
    this.#socket?.close(1000, 'Bye');
  }

  cut(): void {
    this.#socket?.terminate();
  }

  /** The service's message that the session has ended. */
  closeChannel(output: string): void {
    const payload = Buffer.from(JSON.stringify({ MessageType: 'channel_closed', Output: output }));
    this.#socket?.send(encode('channel_closed', 0, 0, payload));
  }

  /** Raw smux bytes of the agent. */
  say(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += 1_024) this.#output(1, bytes.subarray(at, at + 1_024));
  }

  sendFlag(value: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(value);
    this.#output(10, payload);
  }

  accept(socket: WebSocket, connection: Socket): void {
    this.#socket = socket;
    socket.on('message', (bytes: Buffer) => {
      // All answers to one message leave, and so arrive, together.
      connection.cork();
      for (let copies = this.#copies(); copies > 0; copies -= 1) this.#input(bytes);
      connection.uncork();
    });
    const { agentVersion, actions } = this.#switches;
    const request = { AgentVersion: agentVersion, RequestedClientActions: actions };
    if (this.#nextSequence === 0) this.#output(5, Buffer.from(JSON.stringify(request)));
  }

  #copies(): number {
    const { loss, doubled } = this.#switches;
    return this.#random() < loss ? 0 : this.#random() < doubled ? 2 : 1;
  }

  #transmit(message: Uint8Array): void {
    for (let copies = this.#copies(); copies > 0; copies -= 1) this.#socket?.send(message);
  }

  #output(type: number, payload: Buffer): void {
    const message = encode('output_stream_data', this.#nextSequence, type, payload);
    this.#unacknowledged.set(this.#nextSequence, message);
    this.#nextSequence += 1;
    if (!this.#isSilent) this.#transmit(message);
  }

  #input(bytes: Buffer): void {
    if (this.#isSilent) return;
    if (bytes.length > this.#switches.largestCarried) return;
    const message = naiveDecode(bytes);
    const payload = Buffer.from(message.payload, 'hex');
    if (message.messageType === 'acknowledge') {
      const { AcknowledgedMessageSequenceNumber: sequence } = JSON.parse(payload.toString()) as Record<string, number>;
      this.#unacknowledged.delete(sequence ?? -1);
      return;
    }
    const sequence = Number(message.sequenceNumber);
    this.inputSequences.push(sequence);
    this.largestInput = Math.max(this.largestInput, payload.length);
    const acknowledgement = {
      AcknowledgedMessageType: message.messageType,
      AcknowledgedMessageId: message.messageId,
      AcknowledgedMessageSequenceNumber: sequence,
      IsSequentialMessage: true,
    };
    this.#transmit(encode('acknowledge', 0, 0, Buffer.from(JSON.stringify(acknowledgement))));
    if (sequence < this.#expected) return;
    this.#early.set(sequence, { type: message.payloadType ?? 0, payload });
    for (let next = this.#early.get(this.#expected); next !== undefined; next = this.#early.get(this.#expected)) {
      this.#early.delete(this.#expected);
      this.#expected += 1;
      this.#take(next.type, next.payload);
    }
  }

  #take(type: number, payload: Buffer): void {
    if (type === 6) {
      this.handshakeAnswers.push(JSON.parse(payload.toString()));
      this.#completed = true;
      this.#output(7, Buffer.from('{"HandshakeTimeToComplete":1,"CustomerMessage":""}'));
    } else if (type === 10) {
      this.flags.push(payload.readUInt32BE());
      if (payload.readUInt32BE() === 2) this.closeChannel('');
    } else if (type === 1 && this.#completed) this.#smux(payload);
  }

  /** Echoes data, answers an end with an end. */
  #smux(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const length = this.#rest.length < 8 ? 0 : this.#rest.readUInt16LE(2);
      if (this.#rest.length < 8 + length) return;
      const frame = Buffer.from(this.#rest.subarray(0, 8 + length));
      this.#rest = this.#rest.subarray(8 + length);
      if (frame[1] === 0 && this.#switches.refuses) {
        frame[1] = 1;
        this.sendFlag(3);
        this.say(frame);
      } else if (frame[1] === 1 || frame[1] === 2) this.say(frame);
      else if (frame[1] === 3 && this.#switches.endsAfterNop) this.closeChannel('');
    }
  }
}

function encode(messageType: string, sequenceNumber: number, payloadType: number, payload: Buffer): Uint8Array {
  return naiveEncode({
    messageType,
    sequenceNumber,
    payloadType,
    payload,
    flags: 0,
    createdDate: Date.now(),
    messageId: randomUUID(),
  });
}
