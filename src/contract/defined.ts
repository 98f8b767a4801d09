// Optional fields of an object without a spread for each. Used wherever an object is built whose fields may be absent.

/** The same fields; those that may be undefined are optional instead. */
type Defined<T> = { [Name in keyof T as undefined extends T[Name] ? never : Name]: T[Name] } & {
  [Name in keyof T as undefined extends T[Name] ? Name : never]?: Exclude<T[Name], undefined>;
};

/** `fields` without those that are undefined: absent and not null, as JSON and `exactOptionalPropertyTypes` want them. */
export function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
