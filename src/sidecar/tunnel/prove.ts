// Shows that a new session carries dials before an older one stops taking them (docs/promises.md, promise 5): authenticated is not
// enough, because a bastion may accept a login and forward nothing. Neighbour: trial.ts proves every session that replaces another.
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Session } from '../base/driver.ts';

/** A silent destination proves nothing; after this many of them the session's own signs of life decide. */
const maxDialled = 3;

/**
 * Resolves when one dial was answered, by success or by a failure beyond the bastion; or when the destinations were silent but the session
 * was not. `timeoutMs`: the limit of one dial. @throws TunnelError if the session carries nothing
 */
export async function prove(
  session: Session,
  forwards: readonly Forward[],
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<void> {
  // MySQL counts interrupted handshakes against the bastion's address: it is dialled first only if there is nothing else.
  const ordered = forwards.toSorted((a, b) => Number(a.appProtocol === 'mysql') - Number(b.appProtocol === 'mysql'));
  for (const forward of ordered.slice(0, maxDialled)) {
    using limit = deadline(timeoutMs, {
      signal: session.signal,
      clock,
      reason: () => new TunnelError('DestinationTimeout', 'no answer'),
    });
    try {
      const stream = await session.dial(forward.destination, { signal: limit.signal });
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
