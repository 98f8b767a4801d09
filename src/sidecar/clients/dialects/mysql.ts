// MySQL and MariaDB: the server speaks first, so the reason is an ERR packet instead of the greeting, as the server itself sends for
// "Too many connections". Before capabilities are known it has no SQLSTATE part. Protocol: MySQL Internals, ERR_Packet.
import type { Dialect } from './dialect.ts';

/** ER_SERVER_SHUTDOWN: drivers treat it as a lost connection. They refuse the clients' own numbers (2000 and up) as malformed (measured). */
const errorNumber = 1053;

export const mysqlDialect: Dialect = {
  serverFirst: true,
  step(_received, reason) {
    const body = Buffer.concat([
      Buffer.from([0xff, errorNumber & 0xff, errorNumber >> 8]),
      Buffer.from(reason, 'latin1'),
    ]);
    // The length in three bytes, little-endian, then sequence number 0.
    const head = Buffer.from([body.length & 0xff, body.length >> 8, 0, 0]);
    return { kind: 'reply', reply: Buffer.concat([head, body]), consumed: 0, done: true };
  },
};
