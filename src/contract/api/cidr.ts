// Address ranges as the API server's CEL library reads them (Go's netip.ParsePrefix, without IPv4-mapped IPv6 addresses): the twin of
// isCIDR and containsCIDR. Neighbours: access.ts.

/** A range: which family, its address as a number, and how many leading bits count. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly address: bigint;
  readonly bits: number;
}

/** The range that a text means; undefined if it means none. */
export function parseCidr(text: string): Cidr | undefined {
  const [, host, length] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  if (host === undefined) return undefined;
  const family = host.includes(':') ? 6 : 4;
  const address = family === 4 ? parseV4(host) : parseV6(host);
  const bits = Number(length);
  return address === undefined || bits > widthOf(family) ? undefined : { family, address, bits };
}

/** Whether `inner` is a part of `outer`, and not all of it. */
export function isStrictlyInside(inner: Cidr, outer: Cidr): boolean {
  if (inner.family !== outer.family || inner.bits <= outer.bits) return false;
  const shift = BigInt(widthOf(outer.family) - outer.bits);
  return inner.address >> shift === outer.address >> shift;
}

const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

function parseV4(text: string): bigint | undefined {
  const bytes = text.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^(0|[1-9][0-9]{0,2})$/.test(byte) && Number(byte) < 256)) {
    return undefined;
  }
  return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const given = [...head, ...(tail ?? [])];
  // A double colon stands for at least one group.
  if (halves.length === 1 ? given.length !== 8 : given.length > 7) return undefined;
  const all = [...head, ...Array<bigint>(8 - given.length).fill(0n), ...(tail ?? [])];
  const address = all.reduce((sum, each) => sum * 65_536n + each, 0n);
  return address >> 32n === 0xffffn ? undefined : address;
}

/** The 16-bit groups of a part of an IPv6 address; the last part may end in an IPv4 address. */
function groupsOf(part: string, isLast: boolean): bigint[] | undefined {
  if (part === '') return [];
  const groups = part.split(':');
  const end = groups.at(-1) ?? '';
  const mapped = isLast && end.includes('.') ? parseV4(end) : undefined;
  const hex = mapped === undefined ? groups : groups.slice(0, -1);
  if (!hex.every((each) => /^[0-9A-Fa-f]{1,4}$/.test(each))) return undefined;
  const numbers = hex.map((each) => BigInt(`0x${each}`));
  return mapped === undefined ? numbers : [...numbers, mapped >> 16n, mapped & 0xffffn];
}
