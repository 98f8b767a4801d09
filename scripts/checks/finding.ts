// What every check of scripts/checks/ takes and gives back.
// Neighbour: ../house-rules.ts reads the files, runs the checks and prints what they found.

/** A file of the repository. */
export interface Source {
  /** Its path from the root, with slashes. */
  readonly file: string;
  readonly text: string;
}

export interface Finding {
  readonly file: string;
  /** Counted from 1. Default: the file as a whole. */
  readonly line?: number;
  /** What is wrong and what to do, in one sentence. */
  readonly message: string;
}
