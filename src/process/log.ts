// The process's log: JSON lines on standard output, one per event, by pino.
// The process creates one; everything else gets it, or a child with its own fields, as an argument. Nothing logs globally.
import { pino } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const levels: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent'] satisfies LogLevel[];

export const isLogLevel = (text: string | undefined): text is LogLevel => text !== undefined && levels.includes(text);

interface LogMethod {
  (message: string): void;
  (fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Writes lines (`fields` first, the sentence last; an error under the key `error`); `child` adds fields to all lines of a new one. */
export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  child(fields: Readonly<Record<string, unknown>>): Logger;
  /** Whether lines of that level are written. */
  isLevelEnabled(level: LogLevel): boolean;
}

/** The log of a whole process, which can also be flushed before the process ends. */
export interface ProcessLog extends Logger {
  /** Writes every buffered line before it returns. */
  flush(): void;
}

export interface LogOptions {
  readonly level?: LogLevel;
  /** Fields of every line, such as the component's name. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Where lines go. Default: standard output. */
  readonly destination?: { write(line: string): void };
}

const secretKeys = [
  'password',
  'passphrase',
  'privateKey',
  'token',
  'authorization',
  'Authorization',
  'secret',
  'cookie',
];

/** Depth of the cause chain that is logged; a chain that loops ends here too. */
const maxCauses = 5;

/** The most bytes kept for a reader that does not take our output. Then lines are dropped: memory stays bounded and the event loop free. */
const bufferedBytes = 1 << 20;

/** A log whose lines hold `level` as a word, `time` as ISO 8601 and `msg`; the values of fields with a secret's name become `[redacted]`. */
export function createLog(options: LogOptions = {}): ProcessLog {
  const stdout =
    options.destination === undefined ? pino.destination({ fd: 1, sync: false, maxLength: bufferedBytes }) : undefined;
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: options.fields ?? {},
      errorKey: 'error',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
      redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    },
    stdout ?? options.destination ?? process.stdout,
  );
  return Object.assign(logger, { flush: () => stdout?.flushSync() }) as ProcessLog;
}

/** A log that writes nothing, for callers that gave none. */
export function silentLog(): Logger {
  return createLog({ level: 'silent', destination: { write: () => undefined } });
}

/** Only name, code, message, stack and causes: errors of libraries carry whole requests, and with them tokens. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'object' ? 'not an Error' : error;
  const code = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    message: error.message,
    stack: error.stack,
    ...(error.cause !== undefined && depth < maxCauses ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}
