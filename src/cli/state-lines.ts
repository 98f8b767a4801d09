// What a person at the terminal reads about a running tunnel: one line for each change, and nothing twice.
// Neighbours: open.ts prints the lines, contract/tunnel-status.ts is their source, local-secrets.ts knows where a Secret is on this machine.
import { errorCodes } from '../contract/error-codes.ts';
import type { Code } from '../contract/errors.ts';
import type { TunnelStatus } from '../contract/tunnel-status.ts';
import { emptySecretReason, type LocalSecret } from './local-secrets.ts';

/** Turns statuses into lines; remembers what was printed. */
export class StateLines {
  #tunnel = '';
  readonly #ports = new Map<string, string>();

  /** The lines that are new since the last call. */
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

/** In a cluster the tunnel waits until these are fixed; here the person who can fix them is reading. */
const permanentHere: readonly string[] = [
  'SecretNotFound',
  'SecretUnreadable',
  'SecretKeyMissing',
  'CredentialsMissing',
] satisfies Code[];

/** The Secrets that the tunnel uses on this machine. */
export interface UsedSecrets {
  readonly secrets: ReadonlyMap<string, LocalSecret>;
  /** The keys that the driver reads. */
  readonly keys: readonly string[];
}

/** Why a person must fix something before the tunnel can connect, and how; undefined if it may still connect by itself. */
export function interventionReason(
  { state, reason, message }: TunnelStatus,
  { secrets, keys }: UsedSecrets = { secrets: new Map(), keys: [] },
): string | undefined {
  if (state !== 'Failed' || reason === undefined || !Object.hasOwn(errorCodes, reason)) return undefined;
  const { permanent, remedy, layer } = errorCodes[reason as Code];
  if (layer === 'destination' || (!permanent && !permanentHere.includes(reason))) return undefined;
  // The other sentences name the AWS profile and its own fault.
  if (reason === 'CredentialsMissing' && message?.includes('AWS profile') !== true) {
    return `${reason}: this machine has no AWS credentials that work: sign in as for the AWS command line (aws sso login; AWS_PROFILE chooses), or name a Secret in spec.ssm.secretRef`;
  }
  if (reason === 'SecretNotFound') {
    const empty = emptySecretReason(secrets, keys);
    if (empty !== undefined) return `${reason}: ${empty}`;
  }
  const origins = [...secrets].map(([name, { origin }]) => `${name} is ${origin}`).join(', ');
  const where = reason === 'SecretKeyMissing' && origins !== '' ? ` (${origins})` : '';
  // The sentence ends with its remedy; the code's own would say it again.
  return `${reason}: ${message ?? remedy}${where}`;
}
