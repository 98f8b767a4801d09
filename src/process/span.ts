// What a process says about its own work for traces: spans that have ended. Names, times and codes only, never a sentence, a Secret or a
// byte of a client: attributes are made of what the cluster shows to everyone who may read the PortForward.
// Neighbours: otlp.ts sends spans, and is loaded only where tracing is on.

export type Attributes = Readonly<Record<string, string>>;

export interface SpanEvent {
  readonly name: string;
  readonly at: Date;
  readonly attributes: Attributes;
}

export interface Span {
  readonly name: string;
  readonly begun: Date;
  readonly ended: Date;
  readonly attributes: Attributes;
  readonly events?: readonly SpanEvent[];
  /** The code of what went wrong; absent if it went well. */
  readonly failure?: string | undefined;
}

/** Takes a span; returns at once and never throws. */
export type ReportSpan = (span: Span) => void;
