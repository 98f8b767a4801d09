// The destination behind every tunnel of the benchmark, a process of its own: sends, hashes what it is sent, or echoes.
// Listens on the address that it is given (default: 127.0.0.1), prints `listening <port>` and runs until it is killed. Neighbours: content.ts (the bytes), load.ts (the other end).
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { headerBytes, slice } from './content.ts';

const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  let head = Buffer.alloc(0);
  const onHead = (bytes: Buffer): void => {
    head = Buffer.concat([head, bytes]);
    if (head.length < headerBytes) return;
    socket.off('data', onHead);
    socket.pause();
    const rest = head.subarray(headerBytes);
    if (rest.length > 0) socket.unshift(rest);
    serve(socket, String.fromCharCode(head[0] ?? 0), Number(head.readBigUInt64BE(1)));
  };
  socket.on('data', onHead);
});

function serve(socket: Socket, kind: string, total: number): void {
  if (kind === 'D') send(socket, total);
  else if (kind === 'U') judge(socket, total);
  else socket.pipe(socket);
}

function send(socket: Socket, total: number): void {
  let offset = 0;
  const more = (): void => {
    while (offset < total) {
      const bytes = slice(offset, total);
      offset += bytes.length;
      if (!socket.write(bytes)) return;
    }
    socket.off('drain', more);
    socket.end();
  };
  socket.on('drain', more);
  socket.resume();
  more();
}

function judge(socket: Socket, total: number): void {
  const hash = createHash('sha256');
  let received = 0;
  socket.on('data', (bytes: Buffer) => {
    hash.update(bytes);
    received += bytes.length;
    if (received === total) socket.end(hash.digest());
  });
  // Of a client that left early: otherwise its half of the connection stays open for good.
  socket.once('end', () => void (received < total && socket.end()));
  socket.resume();
}

server.listen({ port: 0, host: process.argv[2] ?? '127.0.0.1', backlog: 4096 }, () =>
  console.log(`listening ${(server.address() as AddressInfo).port}`),
);
