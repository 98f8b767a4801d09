// Starts the thread that decrypts a private key. Neighbours: credentials.ts calls it once per content of the Secret,
// private-key-worker.ts runs inside.
import { Worker } from 'node:worker_threads';
import type { KeyProblem } from './private-key.ts';

/** Longer than any sensible number of bcrypt rounds takes on a throttled pod; after it the key counts as unreadable. */
const deadlineMs = 60_000;

/** The key as unencrypted OpenSSH text; it never leaves memory. */
export async function decryptInThread(text: string, passphrase: string | undefined): Promise<string | KeyProblem> {
  // When run from source the worker is TypeScript; in the image it is a bundle beside ours.
  const file = import.meta.url.endsWith('.ts') ? './private-key-worker.ts' : './private-key-worker.cjs';
  const { promise, resolve, reject } = Promise.withResolvers<string | KeyProblem>();
  const worker = new Worker(new URL(file, import.meta.url), { workerData: { text, passphrase }, env: {} });
  const timer = setTimeout(
    () => resolve({ problem: 'key', detail: 'needs too long to decrypt (lower its rounds with ssh-keygen -a)' }),
    deadlineMs,
  );
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', () => reject(new Error('the thread that decrypts the private key ended without an answer')));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
