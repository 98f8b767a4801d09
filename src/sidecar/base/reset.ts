// Resets a client: RST instead of a clean end. Neighbours: clients/bridge.ts, clients/listener.ts, clients/dialects/tell-reason.ts.
import type { Socket } from 'node:net';

/** Ends a client's connection in a way that it cannot mistake a part of an answer for the whole. */
export function reset(client: Socket): void {
  if (client.destroyed) return;
  const isShuttingDown = client.writableEnded && client.writableLength === 0 && !client.writableFinished;
  // libuv refuses to reset a socket during its shutdown (EINVAL) and then never closes it; the shutdown takes one turn.
  if (isShuttingDown) setImmediate(() => reset(client));
  else client.resetAndDestroy();
}
