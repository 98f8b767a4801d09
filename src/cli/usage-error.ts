// A mistake in how a command was called; printed as one sentence without a stack.
// Neighbours: ../main.ts prints it and exits with 2.

/** A sentence for the person who typed the command. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Compares by name, because each bundle has its own copy of the class. */
export const isUsageError = (error: unknown): error is UsageError =>
  error instanceof Error && error.name === 'UsageError';
