// What the kernel's table says about one TCP connection. Linux only; other systems have no such table.
// Neighbours: clients/bridge.ts asks what a client has not taken yet, drivers/ssh/channels/kernel-evidence.ts whether a bastion acknowledges.
import { readFile } from 'node:fs/promises';
import { isIPv4, type Socket } from 'node:net';
import { parseIPv4, parseIPv6 } from '../../contract/ip-address.ts';

export interface KernelRow {
  /** Hexadecimal: `01` is ESTABLISHED. */
  readonly state: string;
  /** Bytes that are sent or waiting to be sent, and not acknowledged yet; a FIN counts as one. */
  readonly unacknowledged: number;
  /** How often the oldest of these bytes was sent again without an answer. */
  readonly retransmits: number;
  /** How often a far side with a full window was probed without an answer. */
  readonly probes: number;
}

/** The socket's row; undefined if there is none. */
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

/** Callers during one read share its text: many clients may ask at once, and the table of a busy node is long. */
async function tableOf(file: string): Promise<string> {
  const current = reading.get(file);
  if (current !== undefined) return await current;
  const table = readFile(file, 'latin1').finally(() => reading.delete(file));
  reading.set(file, table);
  return await table;
}

/** The row for this pair of ends; columns as in the kernel's Documentation/networking/proc_net_tcp.rst. */
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

/** One end of a connection as the table writes it: 32-bit words of the address in the machine's (little-endian) order, then the port. */
export function endpoint(address: string, port: number): string {
  const words: string[] = [];
  const bytes = bytesOf(address);
  for (let at = 0; at < bytes.length; at += 4)
    words.push(
      bytes
        .subarray(at, at + 4)
        .reverse()
        .toString('hex'),
    );
  return `${words.join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

/** The address in network order. Sockets write a zone after the address; the table has none. */
function bytesOf(address: string): Buffer {
  const [digits, number] = isIPv4(address) ? [8, parseIPv4(address)] : [32, parseIPv6(address.replace(/%.*$/, ''))];
  return Buffer.from((number ?? 0n).toString(16).padStart(digits, '0'), 'hex');
}
