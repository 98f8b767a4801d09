// What a person at the terminal reads of a running tunnel: a line whenever something changed, and nothing twice.
// Neighbours: open.ts prints them, contract/tunnel-status.ts is what they are made of, local-secrets.ts says where a Secret is here.
import { errorCodes } from '../contract/error-codes.ts';
import type { Code } from '../contract/errors.ts';
import type { TunnelStatus } from '../contract/tunnel-status.ts';
import { emptySecret, type LocalSecret } from './local-secrets.ts';

/** Turns statuses into lines; remembers what was said. */
export class StateLines {
  #tunnel = '';
  readonly #ports = new Map<string, string>();

  /** The lines that are new since the last status. */
  next(status: TunnelStatus): string[] {
    const lines: string[] = [];
    const tunnel = tunnelLine(status);
    if (tunnel !== this.#tunnel) lines.push((this.#tunnel = tunnel));
    // Without a session nothing is known of destinations, and a second complaint about the same outage helps nobody.
    if (status.state !== 'Connected') return lines;
    for (const port of status.ports) {
      const line = portLine(port);
      if (line === undefined || line === this.#ports.get(port.name)) continue;
      this.#ports.set(port.name, line);
      lines.push(line);
    }
    return lines;
  }
}

function tunnelLine({ state, via, reason, message, hostKeyFingerprint }: TunnelStatus): string {
  switch (state) {
    case 'Connected':
      return `connected via ${via ?? 'the bastion'}${hostKeyFingerprint === undefined ? '' : ` (${hostKeyFingerprint})`}`;
    case 'Connecting':
      return 'connecting';
    case 'Idle':
      return 'idle: connects with the first client';
    case 'Draining':
      return 'closing';
    case 'Failed':
      return `not connected, trying again: ${message ?? reason ?? 'no reason known'}`;
  }
}

function portLine({ name, reachable, message, reason }: TunnelStatus['ports'][number]): string | undefined {
  if (reachable === null) return undefined;
  return reachable
    ? `${name}: the destination answers`
    : `${name}: ${message ?? reason ?? 'the destination does not answer'}`;
}

/** On this machine missing keys are not waited for, as it is in a cluster: the person who can mend it reads along. */
const hopelessHere: readonly string[] = ['SecretNotFound', 'SecretKeyMissing', 'CredentialsMissing'] satisfies Code[];

/** The Secrets that this machine gave the tunnel. */
export interface SecretsHere {
  readonly secrets: ReadonlyMap<string, LocalSecret>;
  /** Those that the driver reads. */
  readonly keys: readonly string[];
}

/** Why the tunnel cannot come up until somebody changes something, with the mend; undefined while it may. */
export function hopeless(
  { state, reason, message }: TunnelStatus,
  { secrets, keys }: SecretsHere = { secrets: new Map(), keys: [] },
): string | undefined {
  if (state !== 'Failed' || reason === undefined || !Object.hasOwn(errorCodes, reason)) return undefined;
  const { permanent, remedy, layer } = errorCodes[reason as Code];
  if (layer === 'destination' || (!permanent && !hopelessHere.includes(reason))) return undefined;
  if (reason === 'CredentialsMissing') {
    return `${reason}: this machine has no AWS credentials that work: sign in as for the AWS command line (aws sso login; AWS_PROFILE chooses), or name a Secret in spec.ssm.secretRef`;
  }
  if (reason === 'SecretNotFound') {
    const empty = emptySecret(secrets, keys);
    if (empty !== undefined) return `${reason}: ${empty}`;
  }
  const origins = [...secrets].map(([name, { origin }]) => `${name} is ${origin}`).join(', ');
  const where = reason === 'SecretKeyMissing' && origins !== '' ? ` (${origins})` : '';
  // The sentence ends with its remedy; the code's own would say it again.
  return `${reason}: ${message ?? remedy}${where}`;
}
