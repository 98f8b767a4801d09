// Shows long steps as they go. On a terminal one line counts: which step of how many, for how long, and how long it usually takes;
// elsewhere a line says so every 30 s. Each step leaves one line when it ends.
// Neighbours: every part that builds or waits takes a `Log` and hands it here; scripts make theirs with `progressOn`.

/** Takes one line for a person, without its line end. */
export interface Log {
  (line: string): void;
  /** Announces steps that are still to come, so that the count is right from the first one on. */
  readonly expect?: (steps: number) => void;
  readonly begin?: (what: string, usualSeconds?: number) => Running;
}

/** A step that has begun. */
interface Running {
  /** How far it is, in a few words; shown from then on. */
  readonly tell: (detail: string) => void;
  readonly end: (mark: '✓' | '✗') => void;
}

/** What lines are written to: `process.stdout`, or a test's own. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A length of time for people: `3.2 s`, `42 s`, `2 min 5 s`, `3 min`. */
export function duration(milliseconds: number): string {
  const tenths = Math.round(milliseconds / 100);
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (minutes === 0) return `${rest} s`;
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
}

/** The time since `started` (a value of `performance.now()`), for people. */
export function elapsed(started: number): string {
  return duration(performance.now() - started);
}

/** Runs `work` and shows how long it takes. What `work` throws passes through. */
export async function step<Result>(
  log: Log,
  what: string,
  work: (tell: (detail: string) => void) => Promise<Result>,
  options: { readonly usualSeconds?: number } = {},
): Promise<Result> {
  const running = log.begin === undefined ? beginOn(log, what) : log.begin(what, options.usualSeconds);
  try {
    const result = await work(running.tell);
    running.end('✓');
    return result;
  } catch (error) {
    running.end('✗');
    throw error;
  }
}

const reminderMs = 30_000;
const redrawMs = 1_000;

/** A step on a log that only takes lines. */
function beginOn(log: Log, what: string): Running {
  const started = performance.now();
  let detail = '';
  const reminder = setInterval(() => log(`  … ${what} (${elapsed(started)}${detail})`), reminderMs);
  return {
    tell: (text) => {
      detail = `, ${text}`;
    },
    end: (mark) => {
      clearInterval(reminder);
      log(`  ${mark} ${what} (${elapsed(started)})`);
    },
  };
}

interface Shown {
  readonly number: number;
  readonly what: string;
  readonly usualSeconds: number | undefined;
  readonly started: number;
  detail: string;
}

/** A log whose steps are counted. `now` gives milliseconds. */
export function progressOn(output: Output = process.stdout, now = (): number => performance.now()): Log {
  const terminal = output.isTTY === true;
  const running = new Set<Shown>();
  let expected = 0;
  let begun = 0;
  const total = (): number => Math.max(expected, begun);
  const describe = ({ number, what, usualSeconds, started, detail }: Shown): string => {
    const usual = usualSeconds === undefined ? '' : `, usually ${duration(usualSeconds * 1000)}`;
    return `step ${number} of ${total()}: ${what} (${duration(now() - started)}${usual}${detail})`;
  };
  const draw = (): void => {
    if (!terminal || running.size === 0) return;
    const text = `  … ${[...running].map(describe).join('; ')}`;
    output.write(`\r\u001b[2K${text.slice(0, (output.columns || 80) - 1)}`);
  };
  const line = (text: string): void => {
    output.write(terminal ? `\r\u001b[2K${text}\n` : `${text}\n`);
    draw();
  };
  const remind = (shown: Shown): void => (terminal ? draw() : line(`  … ${describe(shown)}`));
  return Object.assign(line, {
    expect: (steps: number): void => {
      expected += steps;
    },
    begin: (what: string, usualSeconds?: number): Running => {
      begun += 1;
      const shown: Shown = { number: begun, what, usualSeconds, started: now(), detail: '' };
      running.add(shown);
      draw();
      const timer = setInterval(() => remind(shown), terminal ? redrawMs : reminderMs);
      return {
        tell: (text) => {
          shown.detail = `, ${text}`;
        },
        end: (mark) => {
          clearInterval(timer);
          running.delete(shown);
          line(`  ${mark} ${shown.number}/${total()} ${what} (${duration(now() - shown.started)})`);
        },
      };
    },
  });
}
