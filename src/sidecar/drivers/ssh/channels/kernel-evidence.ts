// Asks the kernel whether bytes that we sent are unacknowledged. Only this distinguishes a dead network from a far side that stalls while
// its kernel still acknowledges. Linux only; elsewhere only the stall limit applies.
// Neighbours: base/kernel-table.ts reads, session-watch.ts asks while a connection is suspect, liveness.ts decides.
import type { Socket } from 'node:net';
import { type KernelRow, kernelRow } from '../../../base/kernel-table.ts';

/** Retransmissions of the same bytes from which on the network counts as dead (the second comes after about 0.6 s on a LAN). */
const deadRetransmits = 2;

const established = '01';

/** True if the kernel holds unacknowledged bytes of this socket and has retransmitted or probed at least twice without an answer. */
export async function unacknowledged(socket: Socket): Promise<boolean> {
  const row = await kernelRow(socket);
  return row !== undefined && provesNetworkDead(row);
}

/** The same, for a row of the kernel's table. */
export function provesNetworkDead({ state, unacknowledged: held, retransmits, probes }: KernelRow): boolean {
  return state === established && held > 0 && Math.max(retransmits, probes) >= deadRetransmits;
}
