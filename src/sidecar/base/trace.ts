// What one attempt to connect tells of its steps, for `doctor`: the driver names the step that begins, and what was seen in it. The step
// that is under way when the attempt fails is the one that failed, so that no driver judges twice.
// Neighbours: driver.ts hands it in, doctor/step-recorder.ts makes steps of it.

export interface Trace {
  /** A step begins, so the one before it has succeeded. `at`: the machine or service that it is about. Default: as before. */
  begin(step: string, at?: string): void;
  /** What was seen in the step that is under way: our own words; those of the far side only through `quoted`. Never a secret. */
  note(fact: string): void;
}

/** For attempts that nobody watches. */
export const noTrace: Trace = { begin: () => undefined, note: () => undefined };

const maxQuoted = 200;

/** Text of the far side in quotation marks: its first line, at most 200 printable characters. */
export function quoted(text: string): string {
  const line = text.trim().split(/[\r\n]/, 1)[0] ?? '';
  const printable = line.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '·').replaceAll(/[\u201C\u201D]/g, '"');
  if (printable.length <= maxQuoted) return `“${printable}”`;
  // Not half of a character that takes two units.
  return `“${printable.slice(0, maxQuoted - 1).replace(/[\uD800-\uDBFF]$/, '')}…”`;
}
