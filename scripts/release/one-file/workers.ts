// Worker threads start from a file beside the program's. In the one file there is none: they start from its content, by the same name.
// Neighbours: entry.ts; src/sidecar/drivers/ssh/login/private-key-thread.ts starts one.
import { basename } from 'node:path';
import { getAsset } from 'node:sea';
import threads, { type WorkerOptions } from 'node:worker_threads';

const { Worker } = threads;

class WorkerFromAsset extends Worker {
  constructor(file: string | URL, options?: WorkerOptions) {
    super(getAsset(basename(String(file)), 'utf8'), { ...options, eval: true });
  }
}

// The module's own object, which every part of the program reads its Worker from.
Object.assign(threads, { Worker: WorkerFromAsset });
