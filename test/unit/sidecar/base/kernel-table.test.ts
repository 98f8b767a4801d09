import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { eventually } from '../../../../lab/base/eventually.ts';
import { endpoint, kernelRow, rowOf } from '../../../../src/sidecar/base/kernel-table.ts';

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:D068 0500000A:0016 01 00000034:00000000 01:00000014 00000002     0        3 5973 4 00000000 20 4 30 10 -1
   1: 0100007F:D068 0600000A:0016 04 00000001:00000000 01:00000014 0000000a     0        0 5973 4 00000000 20 4 30 10 -1
`;
const local = endpoint('127.0.0.1', 0xd068);

test('a row is found by both ends', () => {
  assert.deepEqual(rowOf(table, local, endpoint('10.0.0.5', 22)), {
    state: '01',
    unacknowledged: 52,
    retransmits: 2,
    probes: 3,
  });
  assert.deepEqual(rowOf(table, local, endpoint('10.0.0.6', 22)), {
    state: '04',
    unacknowledged: 1,
    retransmits: 10,
    probes: 0,
  });
  assert.equal(rowOf(table, local, endpoint('10.0.0.7', 22)), undefined);
});

test('addresses are written as the kernel does', () => {
  assert.equal(endpoint('127.0.0.1', 22), '0100007F:0016');
  assert.equal(endpoint('::1', 22), '00000000000000000000000001000000:0016');
  assert.equal(endpoint('::ffff:127.0.0.1', 8080), '0000000000000000FFFF00000100007F:1F90');
  assert.equal(endpoint('2001:db8::8', 1), 'B80D0120000000000000000008000000:0001');
  assert.equal(endpoint('fe80::1%eth0', 1), '000080FE000000000000000001000000:0001', 'without the zone');
});

for (const [listening, host] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '127.0.0.1'],
] as const) {
  test(`finds a connection to ${host} of a listener on ${listening} in the kernel’s own table, with its unread bytes`, async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, listening);
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as { port: number }).port, host);
    const [served] = await accepted;
    assert.deepEqual(await kernelRow(served), { state: '01', unacknowledged: 0, retransmits: 0, probes: 0 });
    client.pause();
    served.write(Buffer.alloc(20_000_000));
    await eventually('bytes wait in the kernel', async () => ((await kernelRow(served))?.unacknowledged ?? 0) > 0);
    const [one, other] = await Promise.all([kernelRow(served), kernelRow(served)]);
    assert.deepEqual(one, other, 'asked at once, answered by one reading');
    client.destroy();
    served.destroy();
    server.close();
  });
}
