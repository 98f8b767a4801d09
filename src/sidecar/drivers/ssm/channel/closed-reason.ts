// Why the service closed a channel, from its text, because the message has no code. No guesses for unknown texts: the channel is lost, and the
// text stays in the log. No I/O. Neighbour: data-channel.ts.
import { defined } from '../../../../contract/defined.ts';
import { type Code, TunnelError } from '../../../../contract/errors.ts';

/** The node, and the destination of its agent. */
interface Where {
  readonly target: string;
  readonly destination: string;
}

interface Known {
  readonly phrase: RegExp;
  readonly code: Code;
  readonly sentence: (where: Where) => string;
}

const knownPhrases: readonly Known[] = [
  {
    phrase: /handshake timed out/i,
    code: 'SessionRefused',
    sentence: ({ target }) =>
      `the SSM agent on ${target} gave the handshake up: look at its log, and at its way to ssmmessages`,
  },
  {
    phrase: /unable to connect to specified port/i,
    code: 'DestinationUnreachable',
    sentence: ({ target, destination }) =>
      `the SSM agent on ${target} could not connect to ${destination}: start what listens there, or correct spec.ports[].destinationPort`,
  },
  {
    phrase: /forwarding to ip address .* is forbidden/i,
    code: 'ForwardingProhibited',
    sentence: ({ target, destination }) =>
      `the SSM agent on ${target} refuses to forward to the address of ${destination}: correct spec.ports[].destinationHost (localhost is the node itself)`,
  },
  {
    phrase: /setting up data channel .* failed/i,
    code: 'SessionRefused',
    sentence: ({ target }) =>
      `the SSM agent on ${target} could not open its data channel: give its role ssmmessages:OpenDataChannel and CreateDataChannel`,
  },
  // Go's own sentences: `lookup NAME on 10.0.0.2:53: no such host`. Last, because those above may quote one.
  {
    phrase: /\blookup \S+.*no such host/is,
    code: 'DestinationNameNotResolved',
    sentence: ({ target, destination }) =>
      `the SSM agent on ${target} finds no address for the name of ${destination}: correct spec.ports[].destinationHost, or the DNS of that node, which resolves the name`,
  },
  {
    phrase: /\blookup \S+/i,
    code: 'DestinationNameNotResolved',
    sentence: ({ target, destination }) =>
      `the DNS of ${target} did not answer the SSM agent’s question for the name of ${destination}: correct the DNS of that node, which resolves the name`,
  },
];

/**
 * The reason, with the service's text as its cause. What the agent says of the destination has a code of that layer: the node is all right,
 * and the channels to other destinations are not touched.
 */
export function closedReason(output: string, where: Where): TunnelError {
  const found = knownPhrases.find(({ phrase }) => phrase.test(output));
  const cause = output === '' ? undefined : new Error(output.slice(0, 1_000).trim());
  const options = defined({ cause });
  return found === undefined
    ? new TunnelError('BastionLost', `Session Manager ended the session to ${where.target}`, options)
    : new TunnelError(found.code, found.sentence(where), options);
}

/** The agent lost its own connection while it sent much, and goes on sending faster than it repeats what was lost. */
export function tooFarBehind({ target }: Where): TunnelError {
  return new TunnelError(
    'BastionLost',
    `the SSM agent on ${target} lost its connection to AWS during a large transfer and sends faster than it repeats what was lost: transfer it again`,
  );
}
