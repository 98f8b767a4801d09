// MySQL and MariaDB: the server speaks first, so the reason is an ERR packet in place of the greeting, as the server itself does for
// "Too many connections". Before capabilities are known it has no SQLSTATE part. Protocol: MySQL Internals, ERR_Packet.
import type { Dialect } from './dialect.ts';

/** ER_SERVER_SHUTDOWN: drivers take it for a lost connection. The clients' own numbers (2000 and up) are refused by them as malformed (measured). */
const errorNumber = 1053;

export const mysqlDialect: Dialect = {
  serverFirst: true,
  step(_received, reason) {
    const body = Buffer.concat([
      Buffer.from([0xff, errorNumber & 0xff, errorNumber >> 8]),
      Buffer.from(reason, 'latin1'),
    ]);
    // Three bytes of length, little-endian, and sequence number 0.
    const head = Buffer.from([body.length & 0xff, body.length >> 8, 0, 0]);
    return { kind: 'reply', reply: Buffer.concat([head, body]), consumed: 0, done: true };
  },
};
