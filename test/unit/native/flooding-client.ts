// A thread with a client that sends without a pause, from the moment that its answer is whole. It exits with 0 once it was told to stop, and with
// 1 after 20 s. Neighbour: event-loop.test.ts.
import { connect } from 'node:net';
import { workerData } from 'node:worker_threads';

export interface Flood {
  readonly port: number;
  /** How many chunks it has sent. */
  readonly chunks: Int32Array<SharedArrayBuffer>;
  /** Not 0: it ends. */
  readonly stop: Int32Array<SharedArrayBuffer>;
}

const { port, chunks, stop } = workerData as Flood;
const until = performance.now() + 20_000;
const chunk = Buffer.alloc(64 * 1024);
const client = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
const send = () => {
  const isStopped = Atomics.load(stop, 0) !== 0;
  if (isStopped || performance.now() > until) process.exit(isStopped ? 0 : 1);
  client.write(chunk, () => {
    Atomics.add(chunks, 0, 1);
    send();
  });
};
client.on('end', send).resume();
