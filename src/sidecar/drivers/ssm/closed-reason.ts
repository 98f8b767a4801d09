// Why the service closed a channel, from its text: there is no code in the message, and these phrases are all that tells. Unknown texts are
// no reason to guess: the session is lost, and the text stays in the log. No I/O. Neighbour: data-channel.ts.
import { TunnelError } from '../../../contract/errors.ts';

const PHRASES: readonly (readonly [RegExp, ConstructorParameters<typeof TunnelError>[0], string])[] = [
  [/handshake timed out/i, 'SessionRefused', 'the agent gave the handshake up'],
  [/unable to connect to specified port/i, 'SessionRefused', 'the agent could not connect to the destination'],
  [
    /forwarding to ip address .* is forbidden/i,
    'SessionRefused',
    'the agent refuses to forward to the destination’s address',
  ],
  [/setting up data channel .* failed/i, 'SessionRefused', 'the agent could not open its data channel'],
];

/** The reason, with the service's text as its cause. */
export function closedReason(output: string): TunnelError {
  const found = PHRASES.find(([phrase]) => phrase.test(output));
  const cause = output === '' ? undefined : new Error(output.slice(0, 1_000).trim());
  const [, code, sentence] = found ?? [undefined, 'BastionLost' as const, 'Session Manager ended the session'];
  return new TunnelError(code, sentence, cause === undefined ? {} : { cause });
}
