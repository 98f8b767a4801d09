// One bad bastion harms no other: while the first one is hostile or slow, the second carries, the pod's probes are answered, and it ends when
// it is asked to.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { startPod } from './pod.ts';
import { type Bastion, startBastion, tunnelConfig } from './sidecar-world.ts';

const version = 'SSH-2.0-OpenSSH_9.9\r\n';
const legalNotice = Buffer.from(`${'Authorized use only. '.repeat(40)}\r\n`.repeat(100));

/** What the first bastion does with each connection. */
const behaviours: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => undefined,
  'greets and then says nothing': (socket) => void socket.write(version),
  'sends its version line a byte a second': (socket) => {
    let at = 0;
    const timer = setInterval(() => socket.write(version[at++ % version.length] ?? ''), 1_000);
    socket.once('close', () => clearInterval(timer));
  },
  'sends notices without end': (socket) => {
    const more = (): void => {
      while (socket.writable && socket.write(legalNotice));
    };
    socket.on('drain', more);
    more();
  },
  'sends noise after its version line': (socket) => {
    socket.write(version);
    const noise = randomBytes(256 * 1024);
    const more = (): void => {
      while (socket.writable && socket.write(noise));
    };
    socket.on('drain', more);
    more();
  },
};

async function carriesBeside(first: Bastion['hop'], second: Bastion): Promise<void> {
  const service = await serve(echo);
  const pod = await startPod(tunnelConfig([first, second.hop], { forwards: [{ port: service.port }] }));
  // As the kubelet asks, only more often.
  const answers: string[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) answers.push(await pod.json('/livez').then(() => 'ok', String));
  })();
  try {
    const client = connect(pod.ports[0] ?? 0, '127.0.0.1');
    client.write('hello');
    const [back] = await once(client, 'data', { signal: AbortSignal.timeout(30_000) });
    assert.equal(String(back), 'hello');
    await eventually('it was asked for a while', () => answers.length >= 20);
    client.destroy();
  } finally {
    isOver = true;
    await asking;
    pod.child.signal('SIGTERM');
    assert.equal(await pod.ended(), 'exit 0');
    await service.stop();
  }
  assert.deepEqual([...new Set(answers)], ['ok']);
}

for (const [what, handle] of Object.entries(behaviours)) {
  test(`a first bastion that ${what} leaves the second to carry`, { timeout: 120_000 }, async (t) => {
    const healthy = await startBastion();
    t.after(() => healthy.stop());
    let tried = 0;
    const hostile = await serve((socket) => {
      tried += 1;
      handle(socket);
    });
    t.after(() => hostile.stop());
    await carriesBeside({ ...healthy.hop, port: hostile.port }, healthy);
    assert.ok(tried > 0, 'the first bastion was tried');
  });
}

for (const [what, config] of [
  ['has nothing but group exchange', ['KexAlgorithms diffie-hellman-group-exchange-sha256', 'Ciphers aes256-ctr']],
  [
    'exchanges keys after every few bytes by its slowest group',
    ['KexAlgorithms diffie-hellman-group18-sha512', 'RekeyLimit 16 1'],
  ],
] as const) {
  test(`a first bastion that ${what} leaves the pod alive`, { timeout: 120_000 }, async (t) => {
    const [healthy, hostile] = await Promise.all([startBastion(), startBastion({ config })]);
    t.after(() => Promise.all([healthy.stop(), hostile.stop()]));
    await carriesBeside(hostile.hop, healthy);
  });
}
