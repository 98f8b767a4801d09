// A server for each protocol in which a client is told a reason, beside the PostgreSQL that every private network has.
// Neighbours: printed.ts asks them as the real clients do; bad-worlds.test.ts and ssm-bad-worlds.test.ts lead tunnels to them.
import { startMariadb } from '../../lab/private-network/mariadb.ts';
import { startRedis } from '../../lab/private-network/redis.ts';
import { Child } from '../../lab/process/child.ts';

/** What a document says of each port; on the far side they have the same numbers. */
export const fourPorts = [
  { port: 5432, appProtocol: 'postgresql' },
  { port: 3306, appProtocol: 'mysql' },
  { port: 6379, appProtocol: 'redis' },
  { port: 8080, appProtocol: 'http' },
] as const;

/** Redis, MariaDB and a web page on their ports of `fourPorts`; ends with `[Symbol.asyncDispose]`. */
export async function startThreeServices(place: {
  readonly host: string;
  readonly namespace: string;
}): Promise<AsyncDisposable> {
  const web = `require('node:http').createServer((_, answer) => answer.end('a page\\n')).listen(8080, '${place.host}', () => console.log('listening'))`;
  const page = new Child('web', 'ip', ['netns', 'exec', place.namespace, process.execPath, '-e', web]);
  const [redis, mariadb] = await Promise.all([
    startRedis({ ...place, port: 6379 }),
    startMariadb({ ...place, port: 3306, maxConnectErrors: 1_000_000 }),
    page.line(/listening/),
  ]);
  // Without an account it refuses whoever does not come from its own machine.
  await mariadb.query(`CREATE USER 'orders'@'%'`);
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all([redis.stop(), mariadb.stop(), page.kill()]);
    },
  };
}
