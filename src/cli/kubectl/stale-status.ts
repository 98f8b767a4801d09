// Whether anybody keeps a stored status: a tunnel's pod knows its own state, and an operator that lives reads it every few seconds. Without
// one the status stays as it was last written, indefinitely. Pure.
// Neighbours: client-counts.ts asks the pods, tunnel-state.ts is what is told.
import type { TunnelStatus } from '../../contract/tunnel-status.ts';
import { age } from './table.ts';
import type { TunnelState } from './tunnel-state.ts';

/** A pod's own word, and when it gave it by its own clock. */
export interface PodAnswer {
  readonly status: TunnelStatus;
  readonly at: Date;
}

/** An operator with 10,000 pods reads each of them twice in this time. */
const keptWithinMs = 90_000;

/** Why the stored status cannot be trusted; undefined if no pod contradicts it. */
export function staleness(tunnel: TunnelState, answers: ReadonlyMap<string, PodAnswer>): string | undefined {
  for (const { pod, state } of tunnel.tunnels) {
    const answer = answers.get(pod);
    if (answer === undefined || answer.status.state === state) continue;
    const { since, state: now } = answer.status;
    if (answer.at.getTime() - Date.parse(since) < keptWithinMs) continue;
    const old = age(since, answer.at);
    return `this status is at least ${old} old: it says ${state} of pod ${pod}, which has been ${now} for ${old}. No operator keeps it: start the operator, or see whether one serves this class and namespace`;
  }
  return undefined;
}
