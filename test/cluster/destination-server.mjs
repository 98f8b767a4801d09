// A destination inside the private network, run by node in its namespace. The first line that a client sends says what it wants:
//   who            the server's name, then an end
//   get BYTES      that many pseudo-random bytes, then an end
//   put            reads to the end, then answers with the SHA-256 of what it read
//   drip           a byte every 20 ms, without end
// Arguments: address, port, name. Prints "listening" when it does.
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { finished } from 'node:stream/promises';
import { pseudoRandom } from './pseudo-random.mjs';

const [address, port, name] = process.argv.slice(2);

const server = createServer({ allowHalfOpen: true }, async (socket) => {
  socket.on('error', () => {});
  try {
    let head = Buffer.alloc(0);
    for (;;) {
      const chunk = socket.read();
      if (chunk === null) {
        if (socket.readableEnded || socket.destroyed) return;
        await new Promise((resolve) => {
          socket.once('readable', resolve).once('close', resolve).once('end', resolve);
        });
        continue;
      }
      head = Buffer.concat([head, chunk]);
      if (head.includes(10)) break;
    }
    const cut = head.indexOf(10);
    const [verb, argument] = head.subarray(0, cut).toString().split(' ');
    const rest = head.subarray(cut + 1);
    if (verb === 'who') return void socket.end(`${name}\n`);
    if (verb === 'get') {
      for (const block of pseudoRandom(Number(argument))) {
        if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
        if (socket.destroyed) return;
      }
      return void socket.end();
    }
    if (verb === 'put') {
      const hash = createHash('sha256').update(rest);
      socket.on('data', (chunk) => hash.update(chunk));
      await finished(socket, { writable: false });
      return void socket.end(`${hash.digest('hex')}\n`);
    }
    const timer = setInterval(() => socket.write('.'), 20);
    socket.once('close', () => clearInterval(timer));
  } catch {
    socket.destroy();
  }
});
server.listen(Number(port), address, () => console.log('listening'));
