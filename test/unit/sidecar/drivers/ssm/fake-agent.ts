// The SSM agent of the fake service: answers the handshake and echoes every stream. It shares no codec with the driver. Faults are switches.
// Neighbour: fake-service.ts, which starts one for each session.
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { numbers } from '../../../../fuzz/broken.ts';
import { naiveDecode, naiveEncode } from './naive-codec.ts';

/** What all agents of a service do; may change at any time. */
export class Switches {
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
  /** Or the relay closes the socket for them. */
  cutsLarger = false;
  /** A message that comes again is not acknowledged again, as by agents before 3.2.1041.0. */
  acknowledgesOnce = false;
  /** The agent refuses every stream. */
  refuses = false;
  /** The service ends the session right after the agent's answer to a NOP; both arrive together. */
  endsAfterNop = false;
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
  /** It goes on sending, but takes nothing of the client: its input stands still in one stream. */
  takesNothing = false;
  /** It repeats what was not acknowledged. */
  repeats = true;
  /** What it acknowledges is lost on the way. */
  losesAcknowledgements = false;
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
      if (oldest !== undefined && this.repeats && !this.#isSilent) this.#transmit(oldest);
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
    if (bytes.length > this.#switches.largestCarried) {
      if (this.#switches.cutsLarger) this.cut();
      return;
    }
    const message = naiveDecode(bytes);
    const payload = Buffer.from(message.payload, 'hex');
    if (message.messageType === 'acknowledge') {
      const { AcknowledgedMessageSequenceNumber: sequence } = JSON.parse(payload.toString()) as Record<string, number>;
      this.#unacknowledged.delete(sequence ?? -1);
      return;
    }
    if (this.takesNothing) return;
    const sequence = Number(message.sequenceNumber);
    this.inputSequences.push(sequence);
    this.largestInput = Math.max(this.largestInput, payload.length);
    const acknowledgement = {
      AcknowledgedMessageType: message.messageType,
      AcknowledgedMessageId: message.messageId,
      AcknowledgedMessageSequenceNumber: sequence,
      IsSequentialMessage: true,
    };
    const isRepeated = sequence < this.#expected || this.#early.has(sequence);
    if (!this.losesAcknowledgements && !(isRepeated && this.#switches.acknowledgesOnce)) {
      this.#transmit(encode('acknowledge', 0, 0, Buffer.from(JSON.stringify(acknowledgement))));
    }
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
