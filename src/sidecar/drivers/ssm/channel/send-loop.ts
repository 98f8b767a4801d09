// When a data channel acts. Whatever may change something (a message, a socket, bytes to send, a timer) asks for a turn. A turn sends what is
// waiting, judges whether the agent lives, and plans the next one. So everything that has arrived is read before the agent is called dead.
// Neighbours: channel-transport.ts owns it, message-link.ts sends, agent-liveness.ts judges.
import type { Clock } from '../../../../process/clock.ts';
import { AgentLiveness } from './agent-liveness.ts';
import type { AgentVerdict } from './agent-silence.ts';
import type { MessageLink, Outgoing } from './message-link.ts';
import type { DataSocket } from './web-socket.ts';

export interface SendLoopOptions {
  readonly clock: Clock;
  readonly link: MessageLink;
  /** True while there is something to send. */
  readonly hasOutput: () => boolean;
  /** The next message, if any. */
  readonly next: (now: number) => Outgoing | undefined;
  /** Asks the agent for a sign of life, at once; false if the protocol cannot. */
  readonly probe: () => boolean;
  /** The verdict on the agent has changed from `before`. */
  readonly onVerdict: (verdict: AgentVerdict, before: AgentVerdict) => void;
}

export class SendLoop {
  readonly #options: SendLoopOptions;
  readonly #liveness: AgentLiveness;
  #acknowledgedAt: number;
  #countsCarriedOver = true;
  #verdict: AgentVerdict = 'alive';
  #planned = false;
  #stopped = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SendLoopOptions) {
    this.#options = options;
    this.#acknowledgedAt = options.clock.now();
    this.#liveness = new AgentLiveness(this.#acknowledgedAt);
  }

  /** When the agent last acknowledged something of ours, in milliseconds of the clock. */
  get acknowledgedAt(): number {
    return this.#acknowledgedAt;
  }

  /** The agent acknowledges each message only once. `answersNops`: so it is asked by a NOP; otherwise what crossed a lost socket proves nothing. */
  acknowledgesOnce(answersNops: boolean): void {
    this.#options.link.acknowledgesOnce();
    if (answersNops) this.#liveness.askOnceMore();
    else this.#countsCarriedOver = false;
  }

  /** The verdict of the last turn. */
  get verdict(): AgentVerdict {
    return this.#verdict;
  }

  /** Asks for a turn; never calls back at once. */
  wake(): void {
    if (this.#planned || this.#stopped) return;
    this.#planned = true;
    setImmediate(() => {
      this.#planned = false;
      this.#turn();
    });
  }

  /** The agent sent something. It gets no turn of its own for each kilobyte of a download: the planned one takes note of it. */
  heard(): void {
    this.#liveness.spoke(this.#now());
  }

  /** The agent acknowledged something outstanding: it lives, and there may be room for more. */
  acknowledged(): void {
    this.#acknowledgedAt = this.#now();
    this.#liveness.progress(this.#acknowledgedAt);
    this.wake();
  }

  /** Another session of the same node was opened. */
  nodeAnswered(): void {
    this.#liveness.nodeAnswered(this.#now());
    this.wake();
  }

  /** There is a socket. */
  attach(socket: DataSocket): void {
    this.#options.link.attach(socket);
    this.#liveness.connected(this.#now(), true);
    this.wake();
  }

  /** There is no socket. */
  detach(): void {
    this.#options.link.detach();
    this.#liveness.connected(this.#now(), false);
    this.wake();
  }

  /** Reads nothing until `resumeReading`: time stands still for the agent. */
  pauseReading(): void {
    this.#options.link.pause();
    this.#liveness.paused(this.#now());
  }

  resumeReading(): void {
    this.#options.link.resume();
    this.#liveness.resumed(this.#now());
    this.wake();
  }

  /** How often an idle agent is probed, in milliseconds; undefined: never. */
  probeEvery(ms: number | undefined): void {
    this.#liveness.probeEvery(this.#now(), ms);
    this.wake();
  }

  /** Begins no turn and sends nothing any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#options.link.close();
  }

  #turn(): void {
    if (this.#stopped) return;
    const { clock, link, hasOutput, next, probe } = this.#options;
    const now = this.#now();
    link.transmit(now, () => next(now));
    const owed = this.#countsCarriedOver ? link.outstanding : link.outstandingHere;
    this.#liveness.outstanding(now, owed, link.mayBeBlocked);
    const judgement = this.#liveness.judge(now);
    this.#judged(judgement.verdict);
    if (this.#stopped) return;
    // The agent's answer asks for the next turn.
    if (judgement.probe && probe()) return;
    const at = Math.min(link.transmitAt(now, hasOutput()) ?? Infinity, judgement.at ?? Infinity);
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    // Through `wake`: what has arrived meanwhile is read before a message is called lost or the agent dead.
    if (at === Infinity) return;
    this.#liveness.planned(at);
    this.#cancelTimer = clock.after(Math.max(0, at - now), () => this.wake());
  }

  #judged(verdict: AgentVerdict): void {
    const before = this.#verdict;
    if (verdict === before) return;
    this.#verdict = verdict;
    this.#options.onVerdict(verdict, before);
  }

  #now(): number {
    return this.#options.clock.now();
  }
}
