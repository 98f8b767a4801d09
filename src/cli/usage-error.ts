// What the person at the terminal can mend by calling the command otherwise; printed as one sentence without a stack.
// Neighbours: ../main.ts prints it and exits with 2.

/** A sentence for the person who typed the command. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** By name, because each bundle has a class of its own. */
export const isUsageError = (error: unknown): error is UsageError =>
  error instanceof Error && error.name === 'UsageError';
