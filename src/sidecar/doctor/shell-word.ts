// Names from a document in a command that a person pastes into a shell. Pure. Neighbours: advice.ts, advice-aws.ts.

/** The text as one word of a shell, quoted where it must be. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
