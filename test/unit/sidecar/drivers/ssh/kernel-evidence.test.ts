import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import {
  endpoint,
  unacknowledged,
  unacknowledgedInTable,
} from '../../../../../src/sidecar/drivers/ssh/kernel-evidence.ts';

const table = (
  queues: string,
  retransmits: string,
  probes: string,
): string => `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:D068 0500000A:0016 01 ${queues} 01:00000014 ${retransmits}     0        ${probes} 5973 4 00000000 20 4 30 10 -1
   1: 0100007F:D068 0600000A:0016 01 00000034:00000000 01:00000014 00000009     0        0 5973 4 00000000 20 4 30 10 -1
`;
const local = endpoint('127.0.0.1', 0xd068);
const remote = endpoint('10.0.0.5', 22);

describe('kernel evidence', () => {
  test('bytes held and retransmitted twice mean a dead network', () => {
    assert.equal(unacknowledgedInTable(table('00000034:00000000', '00000002', '0'), local, remote), true);
    assert.equal(unacknowledgedInTable(table('00000034:00000000', '00000001', '0'), local, remote), false);
  });

  test('probes of a closed window that nobody answers mean the same', () => {
    assert.equal(unacknowledgedInTable(table('00000034:00000000', '00000000', '2'), local, remote), true);
  });

  test('a far side that stalls acknowledges: nothing held, nothing retransmitted', () => {
    assert.equal(unacknowledgedInTable(table('00000000:00000000', '00000000', '0'), local, remote), false);
    assert.equal(unacknowledgedInTable(table('00000034:00000000', '00000000', '0'), local, remote), false);
  });

  test('another connection from the same local port does not testify', () => {
    assert.equal(unacknowledgedInTable(table('00000000:00000000', '00000000', '0'), local, remote), false);
    assert.equal(unacknowledgedInTable(table('', '', ''), local, endpoint('10.0.0.7', 22)), false);
  });

  test('writes addresses as the kernel does', () => {
    assert.equal(endpoint('127.0.0.1', 22), '0100007F:0016');
    assert.equal(endpoint('::1', 22), '00000000000000000000000001000000:0016');
    assert.equal(endpoint('::ffff:127.0.0.1', 8080), '0000000000000000FFFF00000100007F:1F90');
    assert.equal(endpoint('2001:db8::8', 1), 'B80D0120000000000000000008000000:0001');
  });

  for (const host of ['127.0.0.1', '::1']) {
    test(`finds a living connection over ${host} in the kernel’s own table, and nothing against it`, async () => {
      const server = createServer((socket) => socket.resume()).listen(0, host);
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      const socket = connect(port, host);
      await once(socket, 'connect');
      socket.write('x');
      assert.equal(await unacknowledged(socket), false);
      socket.destroy();
      server.close();
    });
  }
});
