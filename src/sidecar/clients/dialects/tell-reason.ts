// Tells a client in its own protocol why there is no stream to the destination (docs/promises.md, promise 3). Called only once the
// failure is final and no byte of the destination was delivered. Neighbours: listener.ts calls `tellReason`; one file per protocol knows the messages.
import type { Socket } from 'node:net';
import type { TunnelError } from '../../../contract/errors.ts';
import type { AppProtocol } from '../../../contract/tunnel-config.ts';
import { reset } from '../../base/reset.ts';
import type { Dialect } from './dialect.ts';
import { httpDialect } from './http.ts';
import { mysqlDialect } from './mysql.ts';
import { postgresqlDialect } from './postgresql.ts';
import { reasonOf } from './reason.ts';
import { redisDialect } from './redis.ts';

/** Without an entry, the protocol has no message for a reason. */
export const dialects: { readonly [P in AppProtocol]: Dialect | undefined } = {
  postgresql: postgresqlDialect,
  mysql: mysqlDialect,
  redis: redisDialect,
  http: httpDialect,
  tls: undefined,
  tcp: undefined,
};

/** A client that sends nothing, or never hangs up, is reset after this long. */
const conversationMs = 5_000;
const lingerMs = 2_000;
/** More than any first message of these protocols needs; PostgreSQL itself allows 10,000. */
const maxReceived = 16 * 1024;

/** Tells the client the reason in its protocol and hangs up; a reset if the protocol has no message for it. Resolves when the client is gone. */
export async function tellReason(client: Socket, protocol: AppProtocol, error: TunnelError): Promise<void> {
  const dialect = dialects[protocol];
  client.on('error', () => undefined);
  if (client.closed) return;
  // Not `once` of node:events: it rejects if the client breaks off, which is an ordinary end here.
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  if (dialect === undefined || client.destroyed) {
    reset(client);
    await closed;
    return;
  }
  let timer = setTimeout(() => reset(client), conversationMs);
  converse(client, dialect, reasonOf(error), () => {
    clearTimeout(timer);
    timer = setTimeout(() => client.destroy(), lingerMs);
  });
  await closed;
  clearTimeout(timer);
}

function converse(client: Socket, dialect: Dialect, reason: string, onTold: () => void): void {
  let received: Buffer = Buffer.alloc(0);
  let isOver = false;
  const advance = (): void => {
    for (;;) {
      const step = dialect.step(received, reason);
      if (step.kind === 'more') return;
      if (step.kind === 'refuse') {
        isOver = true;
        reset(client);
        return;
      }
      received = received.subarray(step.consumed);
      if (!step.done) {
        client.write(step.reply);
        continue;
      }
      // Whatever the client still sends is read and dropped: unread bytes would turn the end into a reset, and the reason might be lost.
      isOver = true;
      client.end(step.reply);
      onTold();
      return;
    }
  };
  client.on('data', (chunk: Buffer) => {
    if (isOver) return;
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    advance();
    if (!isOver && received.length > maxReceived) reset(client);
  });
  // The client left before it was told: nothing more to send.
  client.once('end', () => {
    if (!isOver) client.destroy();
  });
  if (dialect.serverFirst === true) advance();
  client.resume();
}
