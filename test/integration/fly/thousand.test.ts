// A thousand connections through one tunnel: all carry at once, and those whose clients read nothing stay within the pod's memory.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { suite, test } from 'node:test';
import { download, serve } from '../../driver-suite/destinations.ts';
import { client, endOf, until, untilConnected } from '../sidecar/sidecar-world.ts';
import { echoed } from './echoed.ts';
import { helperPids } from './fly-helper.ts';
import { flyPlace } from './fly-sidecar.ts';

const count = 1_000;
const mebibyte = 1024 ** 2;
/** Of the helper alone: sidecar and helper together may have 200 MiB (docs/benchmarks.md), of which Node has about 110. */
const stalledBudget = 96 * mebibyte;

function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

suite('a thousand connections', () => {
  test('one after the other, each ended by the destination, are all carried', async (t) => {
    const { open } = await flyPlace(t);
    const answering = await serve((socket) => void socket.resume().end('x'));
    t.after(async () => await answering.stop());
    const sidecar = await open({ health: 'Off', port: answering.port });
    await untilConnected(sidecar);
    let left = count;
    const visit = async (): Promise<void> => {
      while (left-- > 0) {
        const socket = await client(sidecar);
        // The far side keeps each for a minute, and drops another one between the same ports.
        assert.equal(await endOf(socket.resume()), 'end');
        socket.end();
      }
    };
    const begun = performance.now();
    await Promise.all(Array.from({ length: 8 }, visit));
    t.diagnostic(`${Math.round(count / ((performance.now() - begun) / 1000))} a second`);
  });

  test('carry at once', async (t) => {
    const { world, open, said } = await flyPlace(t);
    const sidecar = await open({ health: 'Off' });
    await untilConnected(sidecar);
    const sockets = await Promise.all(Array.from({ length: count }, async () => await client(sidecar)));
    const begun = performance.now();
    await Promise.all(sockets.map(async (socket) => await echoed(socket)));
    t.diagnostic(`each has echoed after ${Math.round(performance.now() - begun)} ms`);
    await Promise.all(sockets.map(async (socket) => await echoed(socket)));
    assert.deepEqual(
      said.filter((line) => line.includes('reset')),
      [],
    );
    assert.equal(world.api.peers.length, 1);
    for (const socket of sockets) socket.destroy();
  });

  test('whose clients read nothing stay within the memory, and a client that reads is carried beside them', async (t) => {
    const { service, open } = await flyPlace(t);
    const large = await serve(download(randomBytes(mebibyte / 2)));
    t.after(async () => await large.stop());
    const sidecar = await open({ health: 'Off', port: large.port });
    await untilConnected(sidecar);
    const before = helperPids();
    const stalled = async (): Promise<Socket> => (await client(sidecar)).pause();
    const sockets = await Promise.all(Array.from({ length: count - 1 }, stalled));
    await until(sidecar, () => large.connections.size === count - 1, 100_000);
    const other = await open({ health: 'Off', port: service.port, podUid: 'pod-2' });
    await untilConnected(other);
    await echoed(await client(other));
    assert.equal(before.length, 1);
    const resident = Math.max(...before.map(residentOf));
    t.diagnostic(`the helper has ${Math.round(resident / mebibyte)} MiB`);
    assert.ok(resident < stalledBudget, `${resident} bytes`);
    for (const socket of sockets) socket.destroy();
  });
});
