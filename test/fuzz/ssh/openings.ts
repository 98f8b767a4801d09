// What a far side says before anything is encrypted: lines of text, its version line and its offer. Neighbour: ../readers.ts.
import assert from 'node:assert/strict';
import { sshString } from '../../../src/sidecar/drivers/ssh/base/ssh-string.ts';
import { ServerOpening } from '../../../src/sidecar/drivers/ssh/login/server-opening.ts';
import type { Subject } from '../subject.ts';

function offer(): Buffer {
  const lists = [
    'curve25519-sha256,ext-info-s',
    'ssh-ed25519',
    'aes128-ctr',
    'aes128-ctr',
    'hmac-sha2-256',
    'hmac-sha2-256',
  ];
  const payload = Buffer.concat([
    Buffer.of(20),
    Buffer.alloc(16, 9),
    ...[...lists, 'none', 'none', '', ''].map(sshString),
    Buffer.alloc(5),
  ]);
  const padding = 16 - ((5 + payload.length) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

const read = (chunks: readonly Buffer[]): ServerOpening => {
  const opening = new ServerOpening();
  for (const chunk of chunks) opening.read(chunk);
  return opening;
};

/** The same bytes, whole or cut anywhere, are the same opening. */
export const openings: Subject = {
  name: 'version lines and offers',
  seeds: [
    Buffer.concat([Buffer.from('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'), offer()]),
    Buffer.concat([Buffer.from('Authorized use only.\r\nReally.\r\nSSH-2.0-Go\r\n'), offer(), Buffer.alloc(60, 5)]),
    Buffer.from('Exceeded MaxStartups\r\n'),
    Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
    Buffer.from('Not allowed at this time\r\n'),
  ],
  holds(input, random) {
    const cut = Math.floor(random() * (input.length + 1));
    const second = cut + Math.floor(random() * (input.length - cut + 1));
    const [whole, pieces] = [
      read([input]),
      read([input.subarray(0, cut), input.subarray(cut, second), input.subarray(second)]),
    ];
    assert.equal(pieces.hasVersion, whole.hasVersion);
    assert.deepEqual(pieces.offer, whole.offer);
    assert.ok(whole.text.length <= 200 && pieces.text.length <= 200);
    return whole.offer !== undefined;
  },
};
