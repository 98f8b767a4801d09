// Bytes on a real cluster (docs/promises.md, promise 1): through the Service they arrive unchanged, half-close is kept, a reader that stops
// delays nobody else, and a session that dies during a transfer gives the client a reset, never a clean end.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { Child } from '../../lab/process/child.ts';
import { command } from '../../lab/process/command.ts';
import { pseudoRandom } from './pseudo-random.mjs';

const size = 64 * 1024 * 1024;
const port = 7000;
const here = import.meta.dirname;
const clientProgram = ['pseudo-random.mjs', 'bytes-client.mjs']
  .map((name) => readFileSync(join(here, name), 'utf8'))
  .join('\n');

let cluster: Cluster;
let network: PrivateNetwork;
let destination: Child;
let shop: Shop;

interface Seen {
  readonly end?: true;
  readonly error?: string;
  readonly received: number;
  readonly hash?: string;
  readonly answer?: string;
}

suite('bytes', () => {
  before(async () => {
    cluster = await ensureCluster();
    const { image } = await ensureOperator(cluster);
    network = await startPrivateNetwork();
    const { namespace, address } = network.inside;
    const server = [process.execPath, join(here, 'destination-server.mjs'), address, `${port}`, 'bytes'];
    destination = new Child('destination', 'ip', ['netns', 'exec', namespace, ...server]);
    await destination.line(/listening/);
    shop = await Shop.create(cluster, 'bytes');
    await shop.client('client', image);
    await shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey });
    const { a, b } = network.bastions;
    await shop.portForward('carrier', {
      replicas: 1,
      ports: [{ port, destinationHost: address }],
      ssh: {
        user: 'tunnel',
        bastions: [{ host: a.address }, { host: b.address }],
        secretRef: { name: 'bastion' },
        knownHosts: a.knownHosts({ name: a.address }) + b.knownHosts({ name: b.address }),
      },
    });
    await shop.ready('carrier');
    // The endpoints lag behind the pod.
    await eventually('a client is carried', async () => (await client('get', 1)).end === true);
  });
  after(async () => {
    await shop?.delete();
    await destination?.stop();
    await network?.stop();
  });

  /** Runs the client program in the pod and gives the last line that it printed. */
  async function client(...args: readonly (string | number)[]): Promise<Seen> {
    const output = await shop.exec(['node', '--input-type=module', '-', 'carrier', `${port}`, ...args.map(String)], {
      input: clientProgram,
      timeoutMs: 600_000,
    });
    return JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Seen;
  }

  function expectedHash(): string {
    const hash = createHash('sha256');
    for (const block of pseudoRandom(size)) hash.update(block);
    return hash.digest('hex');
  }

  test('the pod’s sessions give their sockets to the native engine', async () => {
    const [pod] = await shop.tunnelPods('carrier');
    assert(pod !== undefined);
    const ask = `fetch('http://127.0.0.1:9808/statusz').then((answer) => answer.text()).then(console.log)`;
    const status = JSON.parse(await shop.kubectl(['exec', pod.metadata.name, '--', 'node', '-e', ask]));
    assert.equal(status.dataPath, 'Native');
  });

  test('64 MB arrive unchanged in either direction, and the answer comes after the client’s end', async () => {
    const expected = expectedHash();
    const down = await client('get', size);
    assert.deepEqual(
      { end: down.end, received: down.received, hash: down.hash },
      { end: true, received: size, hash: expected },
    );
    const up = await client('put', size);
    assert.equal(up.answer, expected, 'the destination’s hash, sent after the client’s half-close');
  });

  test('eight transfers at once, while one of them stops reading for a minute', async () => {
    const expected = expectedHash();
    const slow = client('get', size, 60_000);
    const others = await Promise.all(
      Array.from({ length: 7 }, (_, index) => client(index % 2 === 0 ? 'get' : 'put', size)),
    );
    for (const seen of others) assert.ok(seen.hash === expected && (seen.answer === '' || seen.answer === expected));
    const last = await slow;
    assert.deepEqual({ received: last.received, hash: last.hash }, { received: size, hash: expected });
  });

  test('sessions killed during a transfer: the client gets a reset, never a clean end', async () => {
    const running = client('get', 64 * size);
    const { a, b } = network.bastions;
    // More than all buffers on the way can hold, so the client has received some of it.
    const carried = async (): Promise<boolean> => {
      const open = ['ss', '-Htni', 'state', 'established', 'dst', `${network.inside.address}:${port}`];
      const found = await Promise.all(
        [a, b].map(({ namespace }) => command('ip', ['netns', 'exec', namespace, ...open])),
      );
      return [...found.join('').matchAll(/bytes_received:(\d+)/g)].some(([, bytes]) => Number(bytes) > size);
    };
    await eventually('the transfer is on its way', carried, 60_000);
    a.killSessions();
    b.killSessions();
    const seen = await running;
    assert.equal(seen.end, undefined, 'no clean end');
    assert.equal(seen.error, 'ECONNRESET');
    await shop.ready('carrier');
  });
});
