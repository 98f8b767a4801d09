// Asks the kernel whether bytes that we sent are unacknowledged: the one evidence that tells a dead network from a far side that
// stalls while its kernel still acknowledges. Linux only; elsewhere there is no evidence and only the stall limit applies.
// Neighbours: session.ts asks while a connection is suspect, liveness.ts draws the conclusion.
import { readFile } from 'node:fs/promises';
import { isIPv4, type Socket } from 'node:net';

/** Retransmissions of the same bytes from which on the network counts as dead (the second comes after about 0.6 s on a LAN). */
const deadRetransmits = 2;

/** The state ESTABLISHED in the kernel's table. */
const established = '01';

/** True when the kernel holds sent bytes of this socket and has retransmitted or probed at least twice without an answer. */
export async function unacknowledged(socket: Socket): Promise<boolean> {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return false;
  if (remoteAddress === undefined || remotePort === undefined) return false;
  const file = isIPv4(remoteAddress) ? '/proc/self/net/tcp' : '/proc/self/net/tcp6';
  try {
    const table = await readFile(file, 'latin1');
    return unacknowledgedInTable(table, endpoint(localAddress, localPort), endpoint(remoteAddress, remotePort));
  } catch {
    return false;
  }
}

/** The same from the table's text; columns as in the kernel's Documentation/networking/proc_net_tcp.rst. */
export function unacknowledgedInTable(table: string, local: string, remote: string): boolean {
  for (const line of table.split('\n')) {
    const [, localEnd, remoteEnd, state, queues, , retransmits, , probes] = line.trim().split(/\s+/);
    if (state !== established || localEnd !== local || remoteEnd !== remote) continue;
    const held = Number.parseInt(queues?.split(':')[0] ?? '0', 16);
    const tries = Math.max(Number.parseInt(retransmits ?? '0', 16), Number.parseInt(probes ?? '0', 10));
    return held > 0 && tries >= deadRetransmits;
  }
  return false;
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
