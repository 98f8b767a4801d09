// What the file of each protocol provides, so that a client can be told the reason of a failure. Neighbour: tell-reason.ts.

/**
 * A conversation that ends with the reason. `step` takes all unconsumed bytes of the client and returns what to send. `done`: the reason is
 * in `reply`, and nothing more is expected. `refuse`: the client speaks another protocol and gets a reset.
 */
export interface Dialect {
  /** True if the server speaks first: the reason is sent without waiting for the client. */
  readonly serverFirst?: boolean;
  step(received: Buffer, reason: string): DialectStep;
}

export type DialectStep =
  | { readonly kind: 'more' }
  | { readonly kind: 'refuse' }
  /** The first `consumed` bytes of the client are not needed any more. */
  | { readonly kind: 'reply'; readonly reply: Buffer; readonly consumed: number; readonly done: boolean };
