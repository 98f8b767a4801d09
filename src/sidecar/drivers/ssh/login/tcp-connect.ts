// Opens the TCP connection to the first hop: resolves its name, races the addresses (RFC 8305), turns Nagle off and the kernel's
// keep-alive on as a backstop. Socket and deadlines are ours, because ssh2 hangs if its peer vanishes.
// Neighbours: ../connect.ts calls it, handshake.ts is the next step.
import { lookup } from 'node:dns/promises';
import { isIP, type Socket } from 'node:net';
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { abortable, onAbort } from '../../../../process/abort.ts';
import { deadline } from '../../../../process/deadline.ts';
import { noTrace, type Trace } from '../../../base/trace.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import { lendableSocket } from '../base/lent-reads.ts';
import { closedBeforeBanner } from './handshake-error.ts';

/** Of the addresses of a name, for `doctor`. */
const maxNoted = 8;

const resolveDeadlineMs = 3000;

/** RFC 8305 §5: the next address is tried as well once the one before has not answered for this long. */
const staggerMs = 250;

/** Sets TCP_KEEPIDLE; Node sets the interval to 1 s and the count to 10, so a dead idle peer is noticed after 15 s at the latest. */
const keepAliveMs = 5000;

/** Connects. @throws TunnelError BastionNameNotResolved, BastionRefused or BastionUnreachable, or the signal's reason. */
export async function connectTcp(
  hop: Hop,
  role: HopRole,
  signal: AbortSignal,
  trace: Trace = noTrace,
): Promise<Socket> {
  signal.throwIfAborted();
  trace.begin('name');
  const addresses = await resolve(hop, role, signal);
  trace.note(addresses.slice(0, maxNoted).join(', '));
  trace.begin('tcp');
  try {
    const socket = await raceAddresses(addresses, hop.port, { signal, trace });
    trace.note(`connected to ${socket.remoteAddress} from ${socket.localAddress}`);
    return socket;
  } catch (cause) {
    signal.throwIfAborted();
    throw connectionError(hop, role, cause);
  }
}

async function resolve(hop: Hop, role: HopRole, signal: AbortSignal): Promise<readonly string[]> {
  if (isIP(hop.host) !== 0) return [hop.host];
  const notResolved = (cause: unknown) =>
    new TunnelError(
      'BastionNameNotResolved',
      `the name of ${hopName(role, hop)} cannot be resolved: correct the host, or the DNS where the tunnel runs`,
      { cause },
    );
  using limit = deadline(resolveDeadlineMs, { signal, what: 'resolving a name' });
  try {
    return alternateFamilies(await abortable(lookup(hop.host, { all: true, order: 'verbatim' }), limit));
  } catch (cause) {
    signal.throwIfAborted();
    throw notResolved(cause);
  }
}

/** RFC 8305 §4: the families take turns, beginning with the resolver's first choice. */
function alternateFamilies(found: readonly { readonly address: string; readonly family: number }[]): readonly string[] {
  const first = found.filter((one) => one.family === found[0]?.family);
  const second = found.filter((one) => one.family !== found[0]?.family);
  return first
    .flatMap((one, index) => [one, second[index]])
    .concat(second.slice(first.length))
    .flatMap((one) => one?.address ?? []);
}

async function raceAddresses(
  addresses: readonly string[],
  port: number,
  { signal, trace }: { readonly signal: AbortSignal; readonly trace: Trace },
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const trying = new Set<Socket>();
  const errors: Error[] = [];
  const waiting = [...addresses];
  let stagger: NodeJS.Timeout | undefined;

  const tryNext = () => {
    clearTimeout(stagger);
    const address = waiting.shift();
    if (address === undefined) {
      if (trying.size === 0) reject(mostTelling(errors));
      return;
    }
    const socket = lendableSocket().setNoDelay(true).setKeepAlive(true, keepAliveMs);
    trying.add(socket);
    socket.once('connect', () => {
      trying.delete(socket);
      resolve(socket);
    });
    socket.on('error', (error) => {
      // Stays for good: a socket that lost the race may still fail.
      if (!trying.delete(socket)) return;
      errors.push(error);
      trace.note(`${address} fails: ${error.message}`);
      tryNext();
    });
    socket.connect({ host: address, port });
    if (waiting.length > 0) stagger = setTimeout(tryNext, staggerMs);
  };
  using _ = onAbort(signal, reject);
  try {
    tryNext();
    return await promise;
  } finally {
    clearTimeout(stagger);
    for (const socket of trying) {
      trying.delete(socket);
      socket.destroy();
    }
  }
}

/** The most informative error of several addresses: an answer outweighs a missing route. */
function mostTelling(errors: readonly Error[]): Error {
  return errors.find((error) => codeOf(error) === 'ECONNREFUSED') ?? errors[0] ?? new Error('no address');
}

function connectionError(hop: Hop, role: HopRole, cause: unknown): TunnelError {
  const name = hopName(role, hop);
  switch (codeOf(cause)) {
    case 'ECONNREFUSED':
      return new TunnelError(
        'BastionRefused',
        `${name} refuses the connection: correct host and port, or start sshd there`,
        {
          cause,
        },
      );
    case 'ECONNRESET':
      return closedBeforeBanner(name, cause);
    case 'ETIMEDOUT':
      return new TunnelError('BastionTimeout', `${name} does not answer: let the tunnel’s address reach it`, { cause });
    default:
      return new TunnelError(
        'BastionUnreachable',
        `there is no route to ${name}: check routes and firewalls on the way to it`,
        { cause },
      );
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
