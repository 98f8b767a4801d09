// Errors that are foreseen, printed without a stack: a mistake in how a command was called, and what kubectl said.
// Neighbours: ../main.ts prints them and sets the exit code.

/** A sentence for the person who typed the command. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** kubectl refused, or could not reach the cluster; the message is its own. Exit code 1. */
export class KubectlFailed extends Error {
  override readonly name = 'KubectlFailed';
}

// Compared by name, because each bundle has its own copy of the classes.
export const isUsageError = (error: unknown): error is UsageError =>
  error instanceof Error && error.name === 'UsageError';
export const isKubectlFailed = (error: unknown): error is KubectlFailed =>
  error instanceof Error && error.name === 'KubectlFailed';
