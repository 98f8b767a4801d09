// Address ranges as the API server's CEL library reads them (Go's netip.ParsePrefix, without IPv4-mapped IPv6 addresses): the twin of
// isCIDR and containsCIDR. Neighbours: access.ts, ../ip-address.ts.
import { parseIPv4, parseIPv6 } from '../ip-address.ts';

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
  const address = family === 4 ? parseIPv4(host) : unmappedIPv6(host);
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

function unmappedIPv6(text: string): bigint | undefined {
  const address = parseIPv6(text);
  return address === undefined || address >> 32n === 0xffffn ? undefined : address;
}
