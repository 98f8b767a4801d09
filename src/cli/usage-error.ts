// What the person at the terminal can mend by calling the command otherwise; printed as one sentence without a stack.
// Neighbours: ../main.ts prints it and exits with 2.

/** A sentence for the person who typed the command. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
