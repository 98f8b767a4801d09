// Shows that a new session carries dials before an older one stops taking them (docs/promises.md, promise 5): authenticated is not
// enough, because a bastion may accept a login and forward nothing. Neighbour: trial.ts proves every session that replaces another.
import { TunnelError } from '../../contract/errors.ts';
import type { Destination, Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Session } from '../base/driver.ts';

/** A silent destination proves nothing; after this many of them the session's own signs of life decide. */
const maxDialled = 3;

/** The discard port of the bastion itself: that it refuses is an answer. */
const discard: Destination = { host: 'localhost', port: 9 };

/**
 * Resolves when one dial was answered, by success or by a failure beyond the bastion; or when the destinations were silent but the session
 * was not. `timeoutMs`: the limit of one dial. @throws TunnelError if the session carries nothing
 */
export async function prove(
  session: Session,
  forwards: readonly Forward[],
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<void> {
  for (const destination of destinationsOf(forwards)) {
    using limit = deadline(timeoutMs, {
      signal: session.signal,
      clock,
      reason: () => new TunnelError('DestinationTimeout', 'no answer'),
    });
    try {
      const stream = await session.dial(destination, { signal: limit.signal });
      stream.on('error', () => undefined);
      stream.destroy();
      return;
    } catch (error) {
      if (limit.expired || (error instanceof TunnelError && error.code === 'DestinationTimeout')) continue;
      if (error instanceof TunnelError && error.layer === 'destination') return;
      throw error;
    }
  }
  if (session.suspect) throw new TunnelError('BastionLost', `the new session to ${session.via} answers nothing`);
}

/** MySQL counts interrupted handshakes and in the end blocks the bastion's address for everybody: it is never dialled as a proof. */
function destinationsOf(forwards: readonly Forward[]): readonly Destination[] {
  const harmless = forwards.filter(({ appProtocol }) => appProtocol !== 'mysql').map(({ destination }) => destination);
  return harmless.length > 0 ? harmless.slice(0, maxDialled) : [discard];
}
