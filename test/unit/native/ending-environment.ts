// A thread that ends with an engine whose link is open, or was closed. Neighbour: event-loop.test.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { engineWorld } from './engine-world.ts';

const world = await engineWorld({});
world.connect();
await world.peer.next();
if (workerData === 'closes') {
  await world.close();
} else {
  await sleep(1);
  process.exit(0);
}
