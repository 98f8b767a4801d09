// What is known of one error code. Neighbours: error-codes.ts, cluster-error-codes.ts and ssm-error-codes.ts hold the codes.

/** What is true of a code wherever it occurs; `docs/errors.md` is generated from it. */
export interface ErrorCode {
  /** True: no retry helps until a person changes the document, a Secret or the far side. False: time alone may help. */
  readonly permanent: boolean;
  /** Where it happened: the document, the cluster, the way to the bastion, behind the bastion, or between the client and us. */
  readonly layer: 'document' | 'cluster' | 'bastion' | 'destination' | 'client';
  readonly meaning: string;
  readonly cause: string;
  /** What a person does about it, as an instruction. */
  readonly remedy: string;
}

/** One row of the tables. */
export function code(
  layer: ErrorCode['layer'],
  lifetime: 'permanent' | 'transient',
  meaning: string,
  cause: string,
  remedy: string,
): ErrorCode {
  return { layer, permanent: lifetime === 'permanent', meaning, cause, remedy };
}
