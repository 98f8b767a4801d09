// A bastion that lets everybody in, then floods the session without reading: what the flood is made of is its argument. A process of its
// own, so that its memory is not the tunnel's. Prints its port. Neighbour: test/integration/sidecar/flood.test.ts runs it.
import type { Socket } from 'node:net';
import ssh2, { type Connection } from 'ssh2';
import protocolUtils from 'ssh2/lib/protocol/utils.js';
import { sshString } from '../../../src/sidecar/drivers/ssh/base/ssh-string.ts';
import { rsaPrivateKey } from './ssh-world.ts';

interface Inside {
  readonly _sock: Socket;
  readonly _protocol: {
    readonly _packetRW: {
      readonly write: { allocStart: number; alloc(bytes: number): Buffer; finalize(packet: Buffer): Buffer };
    };
  };
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Messages of RFC 4254; `channel` is the tunnel's id of a channel. */
const floods: Readonly<Record<string, (channel: number) => Buffer>> = {
  CHANNEL_OPEN: () => Buffer.concat([Buffer.of(90), sshString('x'), uint32(1), uint32(1024), uint32(1024)]),
  GLOBAL_REQUEST: () => Buffer.concat([Buffer.of(80), sshString('x'), Buffer.of(1)]),
  CHANNEL_REQUEST: (channel) => Buffer.concat([Buffer.of(98), uint32(channel), sshString('x'), Buffer.of(1)]),
  unknown: () => Buffer.concat([Buffer.of(192), Buffer.alloc(32)]),
  extendedData: (channel) => Buffer.concat([Buffer.of(95), uint32(channel), uint32(1), sshString(Buffer.alloc(1024))]),
};

const kind = process.argv[2] ?? '';
const messageOf = floods[kind];
if (messageOf === undefined) throw new Error(`no flood is called ${kind}`);
const needsChannel = kind === 'CHANNEL_REQUEST' || kind === 'extendedData';

function flood({ _sock: socket, _protocol: protocol }: Inside, message: Buffer): void {
  socket.pause();
  const { write } = protocol._packetRW;
  const fill = (): void => {
    while (!socket.destroyed && socket.writableLength < 256 * 1024) {
      const packet = write.alloc(message.length);
      packet.set(message, write.allocStart);
      protocolUtils.sendPacket(protocol, write.finalize(packet));
    }
  };
  socket.on('drain', fill);
  fill();
}

const hostKey = rsaPrivateKey();
const server = new ssh2.Server({ hostKeys: [hostKey] }, (connection: Connection) => {
  const inside = connection as unknown as Inside;
  connection.on('error', () => undefined);
  connection.on('authentication', (context) => context.accept());
  if (!needsChannel) connection.once('ready', () => flood(inside, messageOf(0)));
  connection.on('tcpip', (accept) => {
    if (!needsChannel) return;
    const channel = accept();
    channel.on('error', () => undefined);
    const { outgoing } = channel as unknown as { outgoing: { id: number } };
    flood(inside, messageOf(outgoing.id));
  });
}).listen(0, '127.0.0.1', () => console.log(`listening on ${(server.address() as { port: number }).port}`));
