// IP addresses as text: written with a port, and read as numbers. Pure.
// Neighbours: tunnel-config.ts (destinations), api/cidr.ts (ranges), sidecar/base/kernel-table.ts (the kernel's own notation).

/** `host:port`, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The 32-bit number of a dotted address; undefined if the text is none. Leading zeros are refused: some readers take them as octal. */
export function parseIPv4(text: string): bigint | undefined {
  const bytes = text.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^(0|[1-9][0-9]{0,2})$/.test(byte) && Number(byte) < 256)) {
    return undefined;
  }
  return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

/** The 128-bit number of an address without brackets and zone; undefined if the text is none. */
export function parseIPv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const given = [...head, ...(tail ?? [])];
  // A double colon stands for at least one group.
  if (halves.length === 1 ? given.length !== 8 : given.length > 7) return undefined;
  const all = [...head, ...Array<bigint>(8 - given.length).fill(0n), ...(tail ?? [])];
  return all.reduce((sum, each) => sum * 65_536n + each, 0n);
}

/** The 16-bit groups of a part of an IPv6 address; the last part may end in an IPv4 address. */
function groupsOf(part: string, isLast: boolean): bigint[] | undefined {
  if (part === '') return [];
  const groups = part.split(':');
  const end = groups.at(-1) ?? '';
  const mapped = isLast && end.includes('.') ? parseIPv4(end) : undefined;
  const hex = mapped === undefined ? groups : groups.slice(0, -1);
  if (!hex.every((each) => /^[0-9A-Fa-f]{1,4}$/.test(each))) return undefined;
  const numbers = hex.map((each) => BigInt(`0x${each}`));
  return mapped === undefined ? numbers : [...numbers, mapped >> 16n, mapped & 0xffffn];
}
