// The polite end of a session: a DISCONNECT, then the socket. Neighbour: session.ts ends sessions.
import type { Client } from 'ssh2';
import type { Transport } from './session-watch.ts';

/** How long a graceful end may take before the socket is destroyed. */
const goodbyeMs = 500;

export function sayGoodbye(client: Client, transport: Transport): void {
  if (!transport.writable) {
    transport.destroy();
    return;
  }
  client.end();
  const timer = setTimeout(() => transport.destroy(), goodbyeMs);
  transport.once('close', () => clearTimeout(timer));
}
