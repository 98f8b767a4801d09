// How far away the far side's ssh layer is: the least time that it took to answer a global request. Not the TCP connect: a balancer or a
// mesh near by answers that. No I/O and no clock. Neighbours: session-watch.ts asks and feeds it, inbound-window.ts follows it.

/** Answers that a session asks for one after the other when it begins: the first ones wait for sshd to settle, others for a busy machine. */
const firstAnswers = 10;

/** Interval between questions later on. A silent session is asked more often, to see whether it lives. */
const askEveryMs = 10_000;

/** How long an answer counts at least. A way that has become longer is noticed after one to two of these. */
const minimumAgeMs = 60_000;

/** With more bytes than this before the answer, it has waited behind them: it proves that the way is not longer, never that it is. */
const quietBytes = 64 * 1024;

/** Questions without an answer that are remembered: a far side that never answers is no reason to fill memory. */
const maxUnanswered = 64;

export class AnswerTime {
  readonly #unanswered: { readonly at: number; readonly bytes: number }[] = [];
  #lastAsked = Number.NEGATIVE_INFINITY;
  #answers = 0;
  #recent = Number.POSITIVE_INFINITY;
  #older = Number.POSITIVE_INFINITY;
  #since = 0;

  /** True if a question should be sent for the sake of the time alone: never a second one while one is unanswered. */
  due(now: number): boolean {
    if (this.#unanswered.length > 0) return false;
    return this.#answers < firstAnswers || now - this.#lastAsked >= askEveryMs;
  }

  /** A global request that wants an answer was sent. `now` in milliseconds of a monotonic clock; `bytes` counts all received so far. */
  asked(now: number, bytes: number): void {
    this.#lastAsked = now;
    if (this.#unanswered.length < maxUnanswered) this.#unanswered.push({ at: now, bytes });
  }

  /** A global request was answered. Answers come in the order of the questions (RFC 4254 §4). */
  answered(now: number, bytes: number): void {
    const question = this.#unanswered.shift();
    if (question === undefined) return;
    const took = now - question.at;
    if (this.#answers === 0) this.#since = now;
    this.#answers += 1;
    // Else a long transfer would measure its own queue, ask for a larger window because of it, and so lengthen the queue.
    const isQuiet = bytes - question.bytes <= quietBytes;
    if (isQuiet && now - this.#since >= minimumAgeMs) {
      this.#older = this.#recent;
      this.#recent = took;
      this.#since = now;
    } else this.#recent = Math.min(this.#recent, took);
  }

  /** The least time of late: that of the way without queues. Undefined without an answer. */
  get leastMs(): number | undefined {
    const least = Math.min(this.#recent, this.#older);
    return Number.isFinite(least) ? least : undefined;
  }
}
