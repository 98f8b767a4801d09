// The thread that decrypts one private key and ends. bcrypt blocks for up to seconds (2.2 s at 100 rounds, measured), which would stop
// every stream of the pod. Built as a separate bundle beside the main one. Neighbour: private-key-thread.ts starts it.
import { parentPort, workerData } from 'node:worker_threads';
import { decryptPrivateKey } from './private-key.ts';

const { text, passphrase } = workerData as { readonly text: string; readonly passphrase: string | undefined };
parentPort?.postMessage(decryptPrivateKey(text, passphrase));
