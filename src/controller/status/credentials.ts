// CredentialsCurrent: whether every host takes what the Secrets hold now. A refused rotation breaks nothing, because the pods go on with what
// they have in memory; the outage comes at their next restart. So this condition never changes Ready. Pure.
// Neighbours: conditions.ts (the other conditions), sidecar/status.ts (what a pod says).
import type { ConditionVerdict, Observation } from './conditions.ts';
import { reasonWord } from './observed-tunnel.ts';

/** Undefined if no Secret is used, no pod runs, or the pods are of a release that does not tell. */
export function credentialsCurrent({ tunnels }: Observation): ConditionVerdict | undefined {
  const type = 'CredentialsCurrent';
  const telling = tunnels.filter(({ status }) => status?.credentials !== undefined);
  if (telling.length === 0) return undefined;
  const refused = telling.find(({ status }) => status?.credentials?.current === false);
  if (refused !== undefined) {
    const { reason = '', message = '' } = refused.status?.credentials ?? {};
    return { type, status: 'False', reason: reasonWord(reason), message: `${refused.pod}: ${message}` };
  }
  const isKnown = tunnels.every(({ ready, status }) => !ready || status?.credentials?.current === true);
  return isKnown && tunnels.some(({ ready }) => ready)
    ? { type, status: 'True', reason: 'Current', message: 'What the Secrets hold now was accepted at the last login.' }
    : {
        type,
        status: 'Unknown',
        reason: 'NotTried',
        message: 'Not every pod has logged in with what the Secrets hold now.',
      };
}
