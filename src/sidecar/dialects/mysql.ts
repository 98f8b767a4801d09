// MySQL and MariaDB: the server speaks first, so the reason is an ERR packet in place of the greeting, as the server itself does for
// "Too many connections". Before capabilities are known it has no SQLSTATE part. Protocol: MySQL Internals, ERR_Packet.
import type { Dialect } from './dialect.ts';

/** CR_CONN_HOST_ERROR: what clients themselves report when a server cannot be reached, and what drivers take for a connection failure. */
const errorNumber = 2003;

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
