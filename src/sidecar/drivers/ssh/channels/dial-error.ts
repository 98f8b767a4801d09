// Turns each failure of a dial through a bastion into an error with its own code and sentence. sshd gives the cause only in the free text
// of CHANNEL_OPEN_FAILURE (strerror and gai_strerror of the bastion), which is parsed here. Pure. Neighbour: session.ts.
import { TunnelError } from '../../../../contract/errors.ts';
import { type Destination, destinationText } from '../../../../contract/tunnel-config.ts';
import { DeadlineExceeded } from '../../../../process/deadline.ts';

/** RFC 4254 §5.1. */
const administrativelyProhibited = 1;
const unknownChannelType = 3;

export interface Refusal {
  /** RFC 4254 §5.1. */
  readonly reason: number;
  readonly text: string;
  /** The user's certificate permits no forwarding at all. */
  readonly forbiddenByCertificate?: boolean;
}

/** Linux's and BSD's numbers of the errors that are told apart here. */
const errnoWords: Readonly<Record<string, string>> = {
  111: 'refused',
  61: 'refused',
  110: 'timed out',
  60: 'timed out',
  113: 'no route',
  65: 'no route',
  101: 'unreachable',
  51: 'unreachable',
};

/** Bastions in Python (asyncssh) say “[Errno 111] Connect call failed”: only the number tells. */
function inWords(text: string): string {
  return text.replaceAll(/\[Errno (\d+)\]/g, (whole, number: string) => errnoWords[number] ?? whole);
}

/** The error for a CHANNEL_OPEN_FAILURE; `bastion` is its name in sentences. */
export function openFailure(
  destination: Destination,
  bastion: string,
  { reason, text: said, forbiddenByCertificate = false }: Refusal,
): TunnelError {
  const to = destinationText(destination);
  const text = inWords(said);
  if (reason === administrativelyProhibited || reason === unknownChannelType) {
    return new TunnelError(
      'ForwardingProhibited',
      forbiddenByCertificate
        ? `${bastion} does not allow forwarding to ${to}: the certificate lacks permit-port-forwarding, sign a new one with it`
        : `${bastion} does not allow forwarding to ${to}: permit it there (AllowTcpForwarding, PermitOpen, or permitopen in authorized_keys), or the account’s password has expired`,
    );
  }
  if (/refused/i.test(text)) {
    return new TunnelError(
      'DestinationRefused',
      `${to} refuses the connection from ${bastion}: start the service, or correct the port`,
    );
  }
  if (/name resolution|name or service|no address|nodename|servname|resolv|no such host|unknown host/i.test(text)) {
    return new TunnelError(
      'DestinationNameNotResolved',
      `${bastion} cannot resolve the name of ${to}: correct destinationHost, which is resolved there and not in the cluster`,
    );
  }
  if (/timed? ?out/i.test(text)) return timedOut(to, bastion);
  return new TunnelError(
    'DestinationUnreachable',
    'socket' in destination
      ? `${bastion} cannot open its unix socket ${to}: check that it exists, that the user may open it, and AllowStreamLocalForwarding`
      : /unreachable|no route/i.test(text)
        ? `${bastion} has no way to ${to}: check its route`
        : `${bastion} cannot connect to ${to} and does not say why: check its route, and its limit of open files`,
  );
}

/** The error for a dial whose signal aborted: DestinationTimeout for a deadline, else the caller's own reason. */
export function dialTimedOut(destination: Destination, bastion: string, reason: unknown): unknown {
  const isDeadline = reason instanceof DeadlineExceeded || (reason instanceof Error && reason.name === 'TimeoutError');
  return isDeadline ? timedOut(destinationText(destination), bastion, reason) : reason;
}

function timedOut(to: string, bastion: string, cause?: unknown): TunnelError {
  return new TunnelError('DestinationTimeout', `${to} does not answer ${bastion}: allow the bastion to reach it`, {
    cause,
  });
}

export function noRoom(bastion: string, max: number): TunnelError {
  return new TunnelError('NotConnected', `the session to ${bastion} carries its maximum of ${max} streams`);
}
