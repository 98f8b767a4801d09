// Why the service closed a channel, from its text, because the message has no code. No guesses for unknown texts: the channel is lost, and the
// text stays in the log. No I/O. Neighbour: data-channel.ts.
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';

/** The node, and the destination of its agent. */
interface Where {
  readonly target: string;
  readonly destination: string;
}

const knownPhrases: readonly (readonly [RegExp, (where: Where) => string])[] = [
  [
    /handshake timed out/i,
    ({ target }) => `the SSM agent on ${target} gave the handshake up: look at its log, and at its way to ssmmessages`,
  ],
  [
    /unable to connect to specified port/i,
    ({ target, destination }) =>
      `the SSM agent on ${target} could not connect to ${destination}: start what listens there, or correct spec.ports[].destinationPort`,
  ],
  [
    /forwarding to ip address .* is forbidden/i,
    ({ target, destination }) =>
      `the SSM agent on ${target} refuses to forward to the address of ${destination}: correct spec.ports[].destinationHost (localhost is the node itself)`,
  ],
  [
    /setting up data channel .* failed/i,
    ({ target }) =>
      `the SSM agent on ${target} could not open its data channel: give its role ssmmessages:OpenDataChannel and CreateDataChannel`,
  ],
];

/** The reason, with the service's text as its cause. */
export function closedReason(output: string, where: Where): TunnelError {
  const found = knownPhrases.find(([phrase]) => phrase.test(output));
  const cause = output === '' ? undefined : new Error(output.slice(0, 1_000).trim());
  const options = defined({ cause });
  return found === undefined
    ? new TunnelError('BastionLost', `Session Manager ended the session to ${where.target}`, options)
    : new TunnelError('SessionRefused', found[1](where), options);
}
