// Ports for servers that cannot say which port they were given.
// Neighbours: api-server.ts, and the servers of lab/private-network.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the ports that kernels give out by themselves (from 32768 on), so that nobody is given one while its server is killed and starts anew. */
const [firstPort, endPort] = [12_000, 30_000];

/** TCP ports of `host` that were free a moment ago, all different. Whoever starts a server on one tries again with others if it was taken since. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers = new Map<number, Server>();
  try {
    while (servers.size < count) {
      const port = randomInt(firstPort, endPort);
      const server = createServer().listen(port, host);
      await once(server, 'listening').then(
        () => servers.set(port, server),
        (error: unknown) => {
          if (!isPortTaken(error)) throw error;
        },
      );
    }
    return [...servers.keys()];
  } finally {
    await Promise.all([...servers.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** One such port. */
export async function freePort(host?: string): Promise<number> {
  const [port] = await freePorts(1, host);
  if (port === undefined) throw new Error('no free port');
  return port;
}

/** Starts what must be told its ports, and twice more, with others, where one was taken meanwhile. `host` as for `freePorts`. */
export async function onFreePorts<T>(
  count: number,
  host: string | undefined,
  start: (ports: readonly number[]) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePorts(count, host));
    } catch (error) {
      if (attempt === 3 || !isPortTaken(error)) throw error;
    }
  }
}

/** Whether that is what Node, or a server in its last words, says of a port that another has. */
function isPortTaken(error: unknown): boolean {
  return /EADDRINUSE|address (is )?already in use/i.test(String(error));
}
