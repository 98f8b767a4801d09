// Tells our own faults, and those of ssh2 and Node, from what a far side can cause: a bastion is never blamed for an exception of ours.
// Pure. Neighbours: login/handshake-error.ts and channels/session.ts ask.
import { TunnelError } from '../../../../contract/errors.ts';

/** What ssh2 throws, without a level, about bytes that the far side sent. */
const farSideGarbage =
  /^(Bad packet length|Invalid MAC|Unsupported state or unable to authenticate data|Instance unusable|Invalid (identification|header)|Max greeting|Header line)/;

/** A connection that was closed without an error of its own. */
export class ConnectionClosed extends Error {
  constructor() {
    super('the connection was closed');
  }
}

/** True for an error that no far side can cause. ssh2 gives its errors about the far side a `level`, a DISCONNECT has a number as `code`. */
export function isOwnFault(cause: unknown): boolean {
  if (!(cause instanceof Error) || cause instanceof TunnelError || cause instanceof ConnectionClosed) return false;
  if ('level' in cause || farSideGarbage.test(cause.message)) return false;
  const code = 'code' in cause ? cause.code : undefined;
  const isFromKernel = typeof code === 'string' && /^E[A-Z0-9]+$/.test(code);
  return typeof code !== 'number' && !isFromKernel;
}

/** `name` is the bastion's in sentences. */
export function ownFault(name: string, cause: unknown): TunnelError {
  return new TunnelError(
    'InternalError',
    `the tunnel itself failed in its session to ${name}: report it with the log of this pod; the bastion is not at fault`,
    { cause },
  );
}
