// Redis: the reason is the error reply to the client's first command. Protocol: RESP2 and RESP3 share simple errors.
import type { Dialect } from './dialect.ts';

export const redisDialect: Dialect = {
  step(received, reason) {
    if (received.length === 0) return { kind: 'more' };
    // A TLS handshake record: this client cannot read our reply.
    if (received[0] === 0x16) return { kind: 'refuse' };
    if (!received.includes('\r\n')) return { kind: 'more' };
    return { kind: 'reply', reply: Buffer.from(`-ERR ${reason}\r\n`, 'latin1'), consumed: received.length, done: true };
  },
};
