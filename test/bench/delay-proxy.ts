// A process that simulates distance: passes connections on to a port, and delivers the bytes of each direction half a round trip later. `delay-proxy.ts <target port> <round trip ms>`; prints `listening <port>`.
// Its timers have a resolution of a millisecond, so it adds at least the given time, the same for everyone.
// Neighbour: bench.ts puts it before sshd.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const [target = 0, roundTripMs = 0] = process.argv.slice(2).map(Number);
const forthMs = Math.ceil(roundTripMs / 2);
const backMs = roundTripMs - forthMs;

/** More than any window allows on the way at these delays; beyond it the sender is paused. */
const mostBytes = 64 * 2 ** 20;

function deliver(from: Socket, to: Socket, delayMs: number): void {
  const queue: { readonly dueAt: number; readonly bytes: Buffer | undefined }[] = [];
  let waiting = 0;
  let armed = false;
  const flush = (): void => {
    armed = false;
    const now = performance.now();
    to.cork();
    for (let head = queue[0]; head !== undefined && head.dueAt <= now; head = queue[0]) {
      queue.shift();
      if (head.bytes === undefined) to.end();
      else {
        waiting -= head.bytes.length;
        to.write(head.bytes);
      }
    }
    to.uncork();
    if (from.isPaused() && waiting < mostBytes && !to.writableNeedDrain) from.resume();
    arm();
  };
  const arm = (): void => {
    const head = queue[0];
    if (armed || head === undefined) return;
    armed = true;
    setTimeout(flush, Math.max(0, Math.ceil(head.dueAt - performance.now())));
  };
  const put = (bytes: Buffer | undefined): void => {
    if (delayMs === 0) {
      if (bytes === undefined) to.end();
      else if (!to.write(bytes)) from.pause();
      return;
    }
    queue.push({ dueAt: performance.now() + delayMs, bytes });
    waiting += bytes?.length ?? 0;
    if (waiting >= mostBytes) from.pause();
    arm();
  };
  from.on('data', put);
  from.once('end', () => put(undefined));
  to.on('drain', () => from.resume());
}

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const both = [client, upstream];
  for (const socket of both) {
    socket.on('error', () => undefined);
    socket.once('close', () => both.forEach((one) => one.destroy()));
  }
  deliver(client, upstream, forthMs);
  deliver(upstream, client, backMs);
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${(server.address() as AddressInfo).port}`));
