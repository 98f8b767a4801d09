// A thread that logs in to a bastion and exchanges bytes across key re-exchanges, with ssh2's native crypto or without it.
// Neighbour: algorithms.test.ts starts it and changes the bastion between the visits.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

export interface Visitor {
  readonly native: boolean;
  readonly port: number;
  readonly echoPort: number;
  readonly knownHosts: string;
  readonly directory: string;
}

export interface Visit {
  readonly cipher: string;
  readonly native: boolean;
  readonly keyExchanges: number;
  /** CPU time of this thread in its longest turn of the event loop. */
  readonly longestTurnMs: number;
}

const { native, port, echoPort, knownHosts, directory } = workerData as Visitor;
if (!native) {
  // The engine is native code, too.
  delete process.env['PF_DATA_PATH'];
  process.dlopen = () => {
    throw new Error('no native crypto in this thread');
  };
}
// Loaded only now: ssh2 chooses its crypto when it is loaded.
const { countedSession } = await import('./counted-session.ts');
const { CredentialStore } = await import('../../../src/sidecar/drivers/ssh/login/credentials.ts');
const { connectTcp } = await import('../../../src/sidecar/drivers/ssh/login/tcp-connect.ts');
const { nativeCrypto } = await import('../../../src/sidecar/drivers/ssh/base/ssh2-protocol.ts');

const bytesEachWay = 256 * 1024;
const hop = { host: '127.0.0.1', port, user: 'tunnel' };
const credentials = [await new CredentialStore({ directory, secretName: 'bastion' }).current()];

/** Counts the CPU time of each turn until it is called back. */
function watchTurns(): () => number {
  let last = process.threadCpuUsage();
  let longest = 0;
  let isOver = false;
  const turn = (): void => {
    const now = process.threadCpuUsage();
    longest = Math.max(longest, now.user + now.system - last.user - last.system);
    last = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    isOver = true;
    return longest / 1000;
  };
}

async function visit(): Promise<Visit> {
  const signal = AbortSignal.timeout(30_000);
  const socket = await connectTcp(hop, 'bastion', signal);
  const longestTurn = watchTurns();
  const { session, login, keyExchanges } = await countedSession({ socket, hop, knownHosts, credentials, signal });
  const stream = await session.dial({ host: '127.0.0.1', port: echoPort }, { signal });
  const sent = randomBytes(bytesEachWay);
  stream.end(sent);
  const received: Buffer[] = [];
  for await (const chunk of stream) received.push(chunk as Buffer);
  assert.ok(Buffer.concat(received).equals(sent), 'the bytes that came back differ');
  await session.close();
  return { cipher: login.cipher, native: nativeCrypto, keyExchanges: keyExchanges(), longestTurnMs: longestTurn() };
}

parentPort?.on('message', () => {
  visit().then(
    (result) => parentPort?.postMessage(result),
    (error: unknown) => parentPort?.postMessage(error instanceof Error ? error : new Error(String(error))),
  );
});
