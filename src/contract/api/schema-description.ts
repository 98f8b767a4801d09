// What we read of zod's description of a type. Neighbours: field-paths.ts and spelling.ts walk it.

export interface SchemaDescription {
  readonly def?: {
    readonly innerType?: unknown;
    readonly element?: unknown;
    readonly in?: unknown;
    readonly shape?: Readonly<Record<string, unknown>>;
  };
}
