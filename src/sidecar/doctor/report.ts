// Steps as lines for a terminal, or as one JSON document. Neighbours: inspect.ts gives the steps, cli/doctor.ts and doctor-server.ts print.
import type { WalkStep } from './step.ts';

export type ReportFormat = 'text' | 'json';

export interface Subject {
  readonly namespace: string;
  readonly name: string;
  /** Where the walk starts: a pod's name, or `this machine`. */
  readonly from: string;
  /** What the tunnel itself says of its state, if one runs there. */
  readonly tunnel?: string | undefined;
}

/** Prints while the walk goes on. */
export class Report {
  readonly #format: ReportFormat;
  readonly #subject: Subject;
  readonly #print: (line: string) => void;
  readonly #steps: WalkStep[] = [];
  #at = '';

  constructor(format: ReportFormat, subject: Subject, print: (line: string) => void) {
    this.#format = format;
    this.#subject = subject;
    this.#print = print;
    if (format === 'json') return;
    const { namespace, name, from, tunnel } = subject;
    print(`${namespace}/${name} from ${from}`);
    if (tunnel !== undefined) print(`  the tunnel itself: ${tunnel}`);
  }

  /** True if every step so far has succeeded. */
  get ok(): boolean {
    return this.#steps.length > 0 && this.#steps.every(({ ok }) => ok);
  }

  step(step: WalkStep): void {
    this.#steps.push(step);
    if (this.#format === 'json') return;
    if (step.at !== this.#at) this.#print((this.#at = step.at));
    for (const line of linesOf(step)) this.#print(line);
  }

  /** The last lines; the whole document for json. */
  end(): void {
    if (this.#format === 'json') {
      this.#print(JSON.stringify({ ...this.#subject, ok: this.ok, steps: this.#steps }, undefined, 2));
      return;
    }
    const faults = this.#steps.filter(({ ok }) => !ok);
    if (faults.length === 0) this.#print(`every step succeeded (${this.#steps.length})`);
    for (const { at, step, reason } of faults) this.#print(`fault: ${step} at ${at}: ${reason}`);
  }
}

const columns = { step: 24, ms: 9 };
const indent = ' '.repeat('  ok    '.length);

function linesOf({ step, ok, ms, facts, reason, message, remedy, advice = [] }: WalkStep): string[] {
  const [first = '', ...others] = facts;
  const head = `  ${ok ? 'ok  ' : 'FAIL'}  ${step.padEnd(columns.step)}${`${ms.toFixed(1)} ms`.padStart(columns.ms)}  ${first}`;
  const column = ' '.repeat(indent.length + columns.step + columns.ms + 2);
  return [
    head.trimEnd(),
    ...others.map((fact) => `${column}${fact}`),
    ...(message === undefined ? [] : [`${indent}${reason}: ${message}`]),
    ...(remedy === undefined ? [] : [`${indent}do: ${remedy}`]),
    ...advice.map(({ where, command }) => `${indent}run ${where}: ${command}`),
  ];
}
