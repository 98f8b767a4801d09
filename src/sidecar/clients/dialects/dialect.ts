// What each protocol's file provides to tell a client the reason of a failure. Neighbours: tell-reason.ts holds the conversation.

/**
 * A conversation that ends with the reason. It is fed all bytes of the client so far and answers what to send; `done` means that the
 * reason is in `reply` and nothing more is expected; `refuse` that the client speaks something else and gets a reset.
 */
export interface Dialect {
  /** The server speaks first: the reason is sent without waiting for the client. */
  readonly serverFirst?: boolean;
  step(received: Buffer, reason: string): DialectStep;
}

export type DialectStep =
  | { readonly kind: 'more' }
  | { readonly kind: 'refuse' }
  /** `consumed` bytes of the client are done with. */
  | { readonly kind: 'reply'; readonly reply: Buffer; readonly consumed: number; readonly done: boolean };
