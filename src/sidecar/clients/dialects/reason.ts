// The sentence of an error as a client prints it: short enough for every client, and whole. Pure.
// Neighbours: tell-reason.ts sends it in the client's protocol.
import type { TunnelError } from '../../../contract/errors.ts';

const maxLength = 200;
const prefix = 'portforward: ';
/** A name shorter than this leaves room for its sentence. */
const longName = 24;
/** Words before a name that say what it is the name of. */
const roles = new Set(
  'agent app bastion cluster container database destination host key machine node organization port profile region role Secret service session target task user'.split(
    ' ',
  ),
);

/** Printable ASCII, at most 200 characters, always with the code: whole clauses, in which names that do not fit are replaced by their role. */
export function reasonOf(error: TunnelError): string {
  const code = ` (${error.code})`;
  const room = maxLength - code.length;
  let sentence = `${prefix}${withoutQuotations(error.message)}`.replaceAll('’', "'").replaceAll(/[^\x20-\x7e]+/g, '?');
  for (;;) {
    const whole = wholeClauses(sentence, room);
    if (whole !== undefined) return `${whole}${code}`;
    const shorter = withoutLongestName(sentence);
    if (shorter === undefined) return `${wholeWords(sentence, room)}${code}`;
    sentence = shorter;
  }
}

/** What a far side said stands in quotation marks: condition and Event have it, a client gets our words alone. */
function withoutQuotations(text: string): string {
  const quotations = /(: )?\u201C[^\u201D]*\u201D(?:, \u201C[^\u201D]*\u201D)*/g;
  return text.replaceAll(quotations, (_, colon?: string) => (colon === undefined ? 'others' : ''));
}

/** As many clauses as there is room for; undefined if not even the first fits. */
function wholeClauses(text: string, room: number): string | undefined {
  if (text.length <= room) return text;
  const part = text.slice(0, room);
  const after = (ends: readonly string[]): number => Math.max(...ends.map((end) => part.lastIndexOf(end)));
  // The remedy follows a colon: half a remedy is worth less than a whole sentence. The colon after our own name ends no clause.
  for (const clause of [after(['; ', '. ']), after([': '])]) if (clause > prefix.length) return part.slice(0, clause);
  return undefined;
}

/** The status has the whole name. Undefined if there is no long one. */
function withoutLongestName(text: string): string | undefined {
  const words = text.split(' ');
  const nameOf = (word: string): string => word.replace(/[,;:.]+$/, '');
  const [longest] = words
    .map((word, index) => ({ index, length: nameOf(word).length }))
    .filter(({ length }) => length >= longName)
    .toSorted((a, b) => b.length - a.length);
  if (longest === undefined) return undefined;
  const { index } = longest;
  const word = words[index] ?? '';
  const end = word.slice(nameOf(word).length);
  const before = words[index - 1] ?? '';
  if (roles.has(before)) words.splice(index - 1, 2, `${before}${end}`);
  else words[index] = `the ${roleOf(nameOf(word))}${end}`;
  return words.join(' ');
}

/** Of a name that stands alone. */
function roleOf(name: string): string {
  if (name.startsWith('arn:')) return 'role';
  return /[.:]/.test(name) ? 'host' : 'one in its status';
}

function wholeWords(text: string, room: number): string {
  const part = text.slice(0, room - 3);
  const word = part.lastIndexOf(' ');
  return `${part.slice(0, word > prefix.length ? word : part.length)}...`;
}
