// What the helper refuses, by its kind: the driver switches on the kind and makes the sentence, the helper's text is for the log.
// Neighbours: helper-process.ts, stream.ts; the kinds are named in commands.go and streams.go.

export class HelperError extends Error {
  override readonly name = 'HelperError';
  readonly kind: string;

  constructor(kind: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}
