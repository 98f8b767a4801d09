// A small Session Manager in this process: tickets by the driver's own interface, a real web socket on loopback, and behind it an agent
// that answers the handshake and echoes every stream. It shares no codec with the driver. Faults are switches.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { TunnelError } from '../../../../../src/contract/errors.ts';
import type { SsmApi } from '../../../../../src/sidecar/drivers/ssm/api.ts';
import { numbers } from '../../../../fuzz/ssm/decoders.ts';
import { naiveDecode, naiveEncode } from './naive-codec.ts';

export class FakeService implements SsmApi {
  /** What the agent asks in its handshake. */
  agentVersion = '3.3.987.0';
  actions: unknown = [
    {
      ActionType: 'SessionType',
      ActionParameters: { SessionType: 'Port', Properties: { type: 'LocalPortForwarding' } },
    },
  ];
  /** The share of messages lost and doubled, each way. */
  loss = 0;
  doubled = 0;
  /** The agent neither acknowledges nor says anything. */
  silent = false;
  resumeError: TunnelError | undefined;
  sessionGone = false;
  readonly calls: string[] = [];
  readonly upgrades: { readonly authorization: string | undefined }[] = [];
  readonly handshakeAnswers: unknown[] = [];
  readonly flags: number[] = [];
  readonly inputSequences: number[] = [];
  largestInput = 0;
  #server: WebSocketServer | undefined;
  #socket: WebSocket | undefined;
  readonly #tokens = new Set<string>();
  readonly #random = numbers(20_261_122);
  #expected = 0;
  #early = new Map<number, { readonly type: number; readonly payload: Buffer }>();
  #nextSequence = 0;
  readonly #unacknowledged = new Map<number, Uint8Array>();
  #rest = Buffer.alloc(0);
  #completed = false;
  #resend: NodeJS.Timeout | undefined;

  async start(): Promise<this> {
    this.#server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    this.#server.on('connection', (socket, request) => {
      this.upgrades.push({ authorization: request.headers.authorization });
      this.#accept(socket);
    });
    await once(this.#server, 'listening');
    // The agent looks at its oldest message only, every 100 ms.
    this.#resend = setInterval(() => {
      const [oldest] = this.#unacknowledged.values();
      if (oldest !== undefined && !this.silent) this.#transmit(oldest);
    }, 100);
    return this;
  }

  async stop(): Promise<void> {
    clearInterval(this.#resend);
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

  /** The hourly close. */
  bye(): void {
    this.#socket?.close(1000, 'Bye');
  }

  cut(): void {
    this.#socket?.terminate();
  }

  /** The service's word that the session is over. */
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

  // --- the control calls ---

  async startSession() {
    this.calls.push('start');
    return this.#ticket();
  }

  async resumeSession() {
    this.calls.push('resume');
    if (this.resumeError !== undefined) throw this.resumeError;
    if (this.sessionGone) return undefined;
    return this.#ticket();
  }

  async terminateSession() {
    this.calls.push('terminate');
  }

  async signUpgrade() {
    return { authorization: 'signed' };
  }

  close(): void {}

  #ticket() {
    const token = randomUUID();
    this.#tokens.add(token);
    return { sessionId: 'operator-0123', streamUrl: `${this.origin}/v1/data-channel/operator-0123?cell=A+b/c`, token };
  }

  // --- the data channel ---

  #accept(socket: WebSocket): void {
    socket.once('message', (data: Buffer, isBinary) => {
      const first = JSON.parse(data.toString()) as { TokenValue: string };
      if (isBinary || !this.#tokens.delete(first.TokenValue)) {
        socket.close(1008, 'token');
        return;
      }
      this.#socket = socket;
      socket.on('message', (bytes: Buffer) => {
        for (let copies = this.#copies(); copies > 0; copies -= 1) this.#input(bytes);
      });
      if (this.#nextSequence === 0) {
        this.#output(
          5,
          Buffer.from(JSON.stringify({ AgentVersion: this.agentVersion, RequestedClientActions: this.actions })),
        );
      }
    });
  }

  #copies(): number {
    return this.#random() < this.loss ? 0 : this.#random() < this.doubled ? 2 : 1;
  }

  #transmit(message: Uint8Array): void {
    for (let copies = this.#copies(); copies > 0; copies -= 1) this.#socket?.send(message);
  }

  #output(type: number, payload: Buffer): void {
    const message = encode('output_stream_data', this.#nextSequence, type, payload);
    this.#unacknowledged.set(this.#nextSequence, message);
    this.#nextSequence += 1;
    if (!this.silent) this.#transmit(message);
  }

  #input(bytes: Buffer): void {
    if (this.silent) return;
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
    this.#transmit(
      encode(
        'acknowledge',
        0,
        0,
        Buffer.from(
          JSON.stringify({
            AcknowledgedMessageType: message.messageType,
            AcknowledgedMessageId: message.messageId,
            AcknowledgedMessageSequenceNumber: sequence,
            IsSequentialMessage: true,
          }),
        ),
      ),
    );
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
      const frame = this.#rest.subarray(0, 8 + length);
      this.#rest = this.#rest.subarray(8 + length);
      if (frame[1] === 1 || frame[1] === 2) this.say(Buffer.from(frame));
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
