// The errors of both halves: every error that a person may read is a TunnelError, and its code decides what the program does about it.
// Neighbours: error-codes.ts is the closed list of codes; a driver turns what its library throws into a TunnelError.
import type { ErrorCode } from './error-code.ts';
import { errorCodes } from './error-codes.ts';

export type Code = keyof typeof errorCodes;

/** An error that a person will read: a code for machines, a sentence (never with a secret in it), and the cause chain. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly code: Code;

  constructor(errorCode: Code, sentence: string, options?: { readonly cause?: unknown }) {
    super(sentence, options);
    this.code = errorCode;
  }

  /** True when no retry helps until something is changed by a person; decided by code alone. */
  get permanent(): boolean {
    return errorCodes[this.code].permanent;
  }

  /** Where it happened; a `destination` error leaves the session usable. */
  get layer(): ErrorCode['layer'] {
    return errorCodes[this.code].layer;
  }
}
