// A TCP port that swallows every SYN, without root: its process accepts nothing and its accept queue is full, so the kernel drops what
// comes. To a caller it is a host behind a firewall that answers nothing.
// Neighbours: whoever tests a deadline during the TCP handshake.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export interface FullListener extends AsyncDisposable {
  /** On every address of 127.0.0.0/8. */
  readonly port: number;
}

/** Linux queues one connection more than the backlog says. */
const queued = 2;

/** `on`: which port. Default: a free one. */
export async function fullListener(on = 0): Promise<FullListener> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  // A thread of its own, because this one must not stop accepting for other servers.
  const worker = new Worker(new URL(import.meta.url), { workerData: { gate, on } satisfies Given });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers = Array.from({ length: queued }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(fillers.map((filler) => once(filler, 'connect')));
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const filler of fillers) filler.destroy();
      const exited = once(worker, 'exit');
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await exited;
    },
  };
}

interface Given {
  readonly gate: Int32Array<SharedArrayBuffer>;
  readonly on: number;
}

if (!isMainThread && workerData?.gate instanceof Int32Array) {
  const { gate, on } = workerData as Given;
  const server = createServer((socket) => socket.destroy());
  server.listen({ port: on, host: '0.0.0.0', backlog: queued - 1 });
  await once(server, 'listening');
  parentPort?.postMessage((server.address() as AddressInfo).port);
  Atomics.wait(gate, 0, 0);
  server.close();
}
