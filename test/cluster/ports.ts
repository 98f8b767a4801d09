/**
 * Ports for servers that cannot say which port they were given.
 * Neighbours: api-server.ts, and the servers of test/private-network.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** TCP ports of `host` that were free a moment ago, all different. Whoever starts a server on one tries again with others if it was taken since. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(async (server) => {
        server.listen(0, host);
        await once(server, 'listening');
        return (server.address() as AddressInfo).port;
      }),
    );
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** One such port. */
export async function freePort(host?: string): Promise<number> {
  const [port] = await freePorts(1, host);
  if (port === undefined) throw new Error('no free port');
  return port;
}
