// One step of the way from here to a destination, as `doctor` reports it; also the form of `--output json`.
// Neighbours: step-recorder.ts makes them, inspect.ts decides which, report.ts prints them.

/** A command that a person runs to see the cause. */
export interface Advice {
  /** The machine to run it on: `bastion bastion-a.example.com:22`. */
  readonly where: string;
  readonly command: string;
}

export interface WalkStep {
  /** What it is about: `bastion bastion-a.example.com:22`, or a port of the tunnel. */
  readonly at: string;
  /** `name`, `tcp`, `login` … */
  readonly step: string;
  readonly ok: boolean;
  /** Milliseconds. */
  readonly ms: number;
  /** What was seen; text of a far side is in quotation marks. */
  readonly facts: readonly string[];
  /** Of a step that failed: its code in contract/error-codes.ts, the sentence, and what helps. */
  readonly reason?: string;
  readonly message?: string;
  readonly remedy?: string;
  readonly advice?: readonly Advice[];
}
