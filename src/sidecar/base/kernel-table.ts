// What the kernel tells of one TCP connection in its table. Linux only; elsewhere there is nothing to read.
// Neighbours: bridge.ts asks what a client has still to take, drivers/ssh/kernel-evidence.ts whether a bastion acknowledges.
import { readFile } from 'node:fs/promises';
import { isIPv4, type Socket } from 'node:net';

export interface KernelRow {
  /** Hexadecimal: `01` is ESTABLISHED. */
  readonly state: string;
  /** Bytes that were sent and not acknowledged yet, those that the far side has no room for among them; an end counts as one. */
  readonly unacknowledged: number;
  /** How often the oldest of them was sent again without an answer. */
  readonly retransmits: number;
  /** How often a far side without room was asked for some without an answer. */
  readonly probes: number;
}

/** The socket's row; undefined where there is none. */
export async function kernelRow(socket: Socket): Promise<KernelRow | undefined> {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  try {
    const table = await tableOf(isIPv4(remoteAddress) ? '/proc/self/net/tcp' : '/proc/self/net/tcp6');
    return rowOf(table, endpoint(localAddress, localPort), endpoint(remoteAddress, remotePort));
  } catch {
    return undefined;
  }
}

const reading = new Map<string, Promise<string>>();

/** Who asks while the table is being read gets the same text: many clients may ask at once, and a busy node's table is long. */
async function tableOf(file: string): Promise<string> {
  const begun = reading.get(file);
  if (begun !== undefined) return await begun;
  const table = readFile(file, 'latin1').finally(() => reading.delete(file));
  reading.set(file, table);
  return await table;
}

/** The row in the table's text; columns as in the kernel's Documentation/networking/proc_net_tcp.rst. */
export function rowOf(table: string, local: string, remote: string): KernelRow | undefined {
  const at = table.indexOf(` ${local} ${remote} `);
  if (at === -1) return undefined;
  const end = table.indexOf('\n', at);
  const columns = table
    .slice(at, end === -1 ? undefined : end)
    .trim()
    .split(/\s+/);
  const [, , state = '', queues = '', , retransmits = '', , probes = ''] = columns;
  return {
    state,
    unacknowledged: Number.parseInt(queues.split(':')[0] ?? '', 16) || 0,
    retransmits: Number.parseInt(retransmits, 16) || 0,
    probes: Number.parseInt(probes, 10) || 0,
  };
}

/** An end of a connection as the table writes it: 32-bit words of the address in the machine's (little-endian) order, then the port. */
export function endpoint(address: string, port: number): string {
  const words: string[] = [];
  const bytes = isIPv4(address) ? address.split('.').map(Number) : bytesOfIPv6(address);
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4).reverse();
    words.push(word.map((byte) => byte.toString(16).padStart(2, '0')).join(''));
  }
  return `${words.join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

function bytesOfIPv6(address: string): number[] {
  // The URL parser writes an embedded IPv4 address as hexadecimal groups and drops no information but the zone.
  const plain = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return all.flatMap((group) => [group >> 8, group & 255]);
}
