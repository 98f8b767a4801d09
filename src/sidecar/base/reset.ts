// How a client is parted from what it asked for: by RST, never by a clean end. Neighbours: clients/bridge.ts, clients/listener.ts,
// clients/dialects/tell-reason.ts.
import type { Socket } from 'node:net';

/** Ends a client so that it cannot take what it got for the whole. */
export function reset(client: Socket): void {
  if (client.destroyed) return;
  const isShuttingDown = client.writableEnded && client.writableLength === 0 && !client.writableFinished;
  // libuv refuses to reset a socket in the middle of its shutdown (EINVAL) and would then never close it; that takes one turn.
  if (isShuttingDown) setImmediate(() => reset(client));
  else client.resetAndDestroy();
}
