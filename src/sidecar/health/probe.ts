// One question to a destination in its own protocol, chosen so that the server's log and counters stay clean. It goes over a stream that
// was dialled like a client's. Neighbours: health.ts probes in time, reachability.ts keeps the result.
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../contract/errors.ts';
import { type AppProtocol, destinationText, type Forward } from '../../contract/tunnel-config.ts';
import { onAbort } from '../../process/abort.ts';
import type { Clock } from '../../process/clock.ts';

interface Probe {
  /** What the client says first; absent where the server does. */
  request?(forward: Forward): Buffer;
  /** What the first bytes of the answer show: true = it speaks the protocol, a phrase = why it does not, undefined = more bytes are needed. */
  judge(answer: Buffer): true | string | undefined;
}

/** GSSENCRequest: PostgreSQL 12 and later answer one byte and log nothing when the connection then ends (measured on 15). */
const postgresql: Probe = {
  request: () => Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]),
  judge: (answer) => {
    if (answer.length === 0) return undefined;
    // E: an older server, or one that is starting; it speaks PostgreSQL.
    return 'NGE'.includes(String.fromCharCode(answer[0] ?? 0)) || 'the answer is not PostgreSQL';
  },
};

const redis: Probe = {
  request: () => Buffer.from('PING\r\n'),
  judge: (answer) => {
    if (answer.length === 0) return undefined;
    const text = answer.toString('latin1');
    if (text.startsWith('-LOADING') || text.startsWith('-BUSY')) return 'Redis is loading or busy';
    // +PONG, or an error such as -NOAUTH: both are Redis.
    return /^[+-]/.test(text) || 'the answer is not Redis';
  },
};

const http: Probe = {
  request: ({ destination }) => {
    const host = 'socket' in destination ? 'localhost' : destinationText(destination);
    return Buffer.from(`HEAD / HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: portforward\r\nConnection: close\r\n\r\n`);
  },
  judge: (answer) => {
    if (answer.length < 5) return undefined;
    return answer.toString('latin1').startsWith('HTTP/') || 'the answer is not HTTP';
  },
};

/**
 * The greeting is the answer. The handshake then breaks off, which MySQL counts against the bastion's address (max_connect_errors), so
 * health.ts asks rarely. An ERR packet instead of a greeting says why nobody is served: 1129 the address is blocked, 1040 too many connections.
 */
const mysql: Probe = {
  judge: (answer) => {
    const kind = answer[4];
    if (kind === undefined) return undefined;
    if (kind === 0x0a) return true;
    if (kind !== 0xff) return 'the answer is not MySQL';
    return answer.length < 7 ? undefined : `it refuses with error ${answer.readUInt16LE(5)}`;
  },
};

/** Without an entry, an opened stream is the answer: TLS and TCP have no question. */
export const probes: { readonly [P in AppProtocol]?: Probe } = { postgresql, mysql, redis, http };

/** How long to wait for a refusal where an opened stream is no answer yet. */
interface Patience {
  readonly clock: Clock;
  readonly ms: number;
}

/**
 * Resolves when the destination speaks its protocol; where the protocol has no question, when the destination has not refused for as long
 * as `patience` says. Ends the stream. @throws TunnelError DestinationNotSpeaking, the destination's refusal, or the signal's reason.
 */
export async function probe(forward: Forward, stream: Duplex, signal: AbortSignal, patience?: Patience): Promise<void> {
  const question = probes[forward.appProtocol];
  try {
    if (question !== undefined) await exchange(question, forward, stream, signal);
    else if (patience !== undefined) await unrefused(stream, patience, signal);
  } finally {
    // A clean end first: some servers log a reset.
    if (!stream.destroyed) stream.end();
    stream.destroy();
  }
}

/** Resolves with the first byte, a clean end, or after the wait. @throws TunnelError the refusal, or the signal's reason. */
async function unrefused(stream: Duplex, { clock, ms }: Patience, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  // A refusal that came while this process stood still is read before the wait is judged.
  const cancel = clock.after(ms, () => setImmediate(done));
  using _ = onAbort(signal, done);
  stream.once('data', done).once('end', done).once('close', done);
  await promise;
  cancel();
  signal.throwIfAborted();
  if (stream.errored instanceof TunnelError) throw stream.errored;
}

/** Sends the question and judges the answer. */
async function exchange(question: Probe, forward: Forward, stream: Duplex, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<true | string>();
  let answer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    answer = Buffer.concat([answer, chunk]);
    const verdict = question.judge(answer);
    if (verdict !== undefined) resolve(verdict);
  };
  const onEnd = (): void => resolve('it closes connections without an answer');
  using _ = onAbort(signal, () => resolve('no answer'));
  stream.on('data', onData).once('close', onEnd).once('end', onEnd);
  if (question.request !== undefined) stream.write(question.request(forward));
  const verdict = await promise;
  stream.off('data', onData);
  if (verdict === true) return;
  // A refusal that came after the dial says more than the missing answer.
  if (stream.errored instanceof TunnelError) throw stream.errored;
  throw new TunnelError(
    'DestinationNotSpeaking',
    `${destinationText(forward.destination)} gives no proper answer (${verdict}): check appProtocol and the service there`,
  );
}
