// PostgreSQL: the reason is the ErrorResponse to the startup message; psql and every driver print it. The SSLRequest before it is answered
// with N: libpq would hide an ErrorResponse there behind "server sent an error response during SSL exchange" (measured).
// Protocol: PostgreSQL documentation, "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest, ErrorResponse).
import type { Dialect } from './dialect.ts';

const sslRequest = 80877103;
const gssEncRequest = 80877104;
/** The server's own limit: MAX_STARTUP_PACKET_LENGTH. */
const maxStartupLength = 10_000;
/** SQLSTATE class 08, connection_failure. */
const sqlState = '08006';

export const postgresqlDialect: Dialect = {
  step(received, reason) {
    if (received.length < 8) return { kind: 'more' };
    const length = received.readUInt32BE(0);
    const code = received.readUInt32BE(4);
    if (length < 8 || length > maxStartupLength) return { kind: 'refuse' };
    if (length === 8 && (code === sslRequest || code === gssEncRequest)) {
      return { kind: 'reply', reply: Buffer.from('N'), consumed: 8, done: false };
    }
    // Only major version 3; other messages, such as a cancel request, expect no answer.
    if (code >>> 16 !== 3) return { kind: 'refuse' };
    if (received.length < length) return { kind: 'more' };
    return { kind: 'reply', reply: errorResponse(reason), consumed: length, done: true };
  },
};

function errorResponse(reason: string): Buffer {
  const fields = ['SFATAL', 'VFATAL', `C${sqlState}`, `M${reason}`].map((field) => `${field}\0`).join('');
  const body = Buffer.from(`${fields}\0`, 'latin1');
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
