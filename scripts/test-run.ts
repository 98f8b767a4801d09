// Runs test files under node:test, each in a process of its own with a time limit, and counts what happened.
// Neighbour: test.ts decides which files, how many at once, and what the counts mean.

import { relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { following } from '../lab/process/abort.ts';

export interface Counts {
  passed: number;
  /** One sentence for each failed test: its name, file and the error's text. */
  readonly failures: string[];
  /** One sentence for each skipped or unfinished (todo) test: its name, file and reason. */
  readonly skipped: string[];
}

export interface RunFilesOptions {
  /** Files at once. */
  readonly concurrency: number;
  /** Each file's output is shown when it ends, because others run at the same time. Default: as it comes if `concurrency` is 1. */
  readonly whole?: boolean;
  /** The longest that one file may run, in milliseconds; then its process is ended and it counts as failed. */
  readonly fileLimitMs: number;
  /** Ends the files that run, and begins no other. */
  readonly signal?: AbortSignal;
}

/** One run of a file. */
export interface FileRun {
  readonly file: string;
  /** Stands behind the file's name in what is printed. */
  readonly label?: string;
  /** What its process gets beside the environment of this one. Default: nothing. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs every file and resolves with the sum; a file that holds no test, or does not end in time, counts as a failed test.
 * Tests that the signal ended have neither passed nor failed: they are not counted.
 */
export async function runFiles(files: readonly (string | FileRun)[], options: RunFilesOptions): Promise<Counts> {
  const total: Counts = { passed: 0, failures: [], skipped: [] };
  const waiting = files.map((file): FileRun => (typeof file === 'string' ? { file } : file));
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (options.signal?.aborted === true) return;
      const counts = await runFile(file, options);
      total.passed += counts.passed;
      total.failures.push(...counts.failures);
      total.skipped.push(...counts.skipped);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.concurrency, files.length) }, worker));
  return total;
}

async function runFile({ file, label, environment }: FileRun, options: RunFilesOptions): Promise<Counts> {
  const { fileLimitMs, signal, whole = options.concurrency > 1 } = options;
  const counts: Counts = { passed: 0, failures: [], skipped: [] };
  const name = [relative(process.cwd(), file), label].filter((part) => part !== undefined).join(', ');
  const started = performance.now();
  const end = following(signal);
  let tooLong = false;
  const limit = setTimeout(() => {
    tooLong = true;
    end.abort(new Error('too long'));
  }, fileLimitMs);
  const env = { ...process.env, ...environment };
  const events = run({ files: [file], concurrency: true, signal: end.signal, env });
  const unended = new Unended(events, file);
  let holdsTests = false;
  const stopped = (): boolean => signal?.aborted === true;
  const onResult = (passed: boolean) => (event: Result) => {
    if (!passed && stopped()) return;
    // The runner reports a file without tests as one test with the file's name.
    if (event.name === file) {
      if (!passed) counts.failures.push(`${name}: ${reason(event)}`);
      return;
    }
    holdsTests = true;
    if (event.details.type === 'suite') return;
    const skip = event.skip ?? event.todo;
    if (skip !== undefined && skip !== false) {
      counts.skipped.push(`${event.name} (${name}): ${skip === true ? 'no reason given' : skip}`);
    } else if (passed) counts.passed += 1;
    else counts.failures.push(`${event.name} (${name}): ${reason(event)}`);
  };
  events.on('test:pass', onResult(true)).on('test:fail', onResult(false));
  const report = events
    .filter((event: TestEvent) => !isFileSummary(event) && !(event.type === 'test:fail' && stopped()))
    .compose(new spec());
  const shown: string[] = [];
  if (!whole) console.log(`\n── ${name}`);
  report.on('data', (text: Buffer | string) => {
    if (!whole) process.stdout.write(text);
    else shown.push(text.toString());
  });
  await finished(report);
  clearTimeout(limit);
  end.release();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (whole) process.stdout.write(`\n── ${name} (${seconds} s)\n${shown.join('')}`);
  if (tooLong) {
    counts.failures.push(`${name}: did not end within ${fileLimitMs / 1000} s and was ended; ${unended.sentence()}`);
  } else if (!holdsTests && counts.failures.length === 0 && !stopped()) counts.failures.push(`${name}: holds no test`);
  return counts;
}

/** Knows which tests of a file have begun and not ended, so that a limit that is reached names them. */
class Unended {
  readonly #began = new Map<number, TestIdentity>();
  #lastEnded: string | undefined;

  constructor(events: ReturnType<typeof run>, file: string) {
    events.on('test:dequeue', (test) => {
      if (test.name !== file) this.#began.set(test.testId, test);
    });
    events.on('test:complete', ({ testId, name }) => {
      if (name === file) return;
      this.#began.delete(testId);
      this.#lastEnded = name;
    });
  }

  /** Names tests, not the groups around them. A file whose code never pauses cannot report the test that it is in. */
  sentence(): string {
    const began = [...this.#began.values()];
    const groups = new Set(began.map(({ parentId }) => parentId));
    const names = began.filter(({ testId }) => !groups.has(testId)).map(({ name }) => name);
    if (names.length > 0) return `tests that did not end: ${names.join(', ')}`;
    const after = this.#lastEnded === undefined ? 'before its first test ended' : `after the test: ${this.#lastEnded}`;
    return `it stopped reporting ${after}`;
  }
}

const reasonMaxCharacters = 600;

/** What the test threw; a suite's failure says only that its tests failed, so the innermost cause is what tells. */
function reason({ details }: Result): string {
  let { error } = details;
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  return (error instanceof Error ? error.message : String(error)).slice(0, reasonMaxCharacters);
}

interface TestEvent {
  readonly type: string;
  readonly data: { readonly message?: unknown };
}

/** The counts that the runner prints for each file; ours are printed once, for all. What a test itself reports stays. */
function isFileSummary({ type, data }: TestEvent): boolean {
  const counted = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;
  return type === 'test:diagnostic' && typeof data.message === 'string' && counted.test(data.message);
}

interface TestIdentity {
  readonly name: string;
  readonly testId: number;
  readonly parentId: number | undefined;
}

interface Result {
  readonly name: string;
  readonly skip?: string | boolean;
  readonly todo?: string | boolean;
  readonly details: { readonly type?: string; readonly error?: unknown };
}
