// The tunnel's work as spans: each dial, and each way from a lost session (or from the start) to the next one, with the attempts in between.
// Neighbours: tunnel/tunnel-options.ts (the observer), metrics.ts (counts the same), sidecar.ts puts one around the other.
import type { Code } from '../contract/errors.ts';
import type { Clock } from '../process/clock.ts';
import type { ReportSpan, SpanEvent } from '../process/span.ts';
import type { TunnelObserver } from './tunnel/tunnel-options.ts';

/** Of one outage: later ones say nothing new. */
const maxEvents = 32;

interface Opening {
  readonly name: 'connect' | 'reconnect';
  readonly begun: Date;
  readonly lost: Code | undefined;
  readonly events: SpanEvent[];
}

/** Counts by `observer`, and traces. Codes only: a sentence may hold what the far side said. */
export function tracedObserver(observer: TunnelObserver, trace: ReportSpan, clock: Clock): TunnelObserver {
  let opening: Opening | undefined = { name: 'connect', begun: clock.date(), lost: undefined, events: [] };
  return {
    sessionOpened: () => {
      observer.sessionOpened();
      if (opening === undefined) return;
      const { name, begun, lost, events } = opening;
      opening = undefined;
      const attributes: Record<string, string> = lost === undefined ? {} : { 'portforward.lost': lost };
      trace({ name, begun, ended: clock.date(), attributes, events });
    },
    sessionLost: (code) => {
      observer.sessionLost(code);
      opening ??= { name: 'reconnect', begun: clock.date(), lost: code, events: [] };
    },
    attemptFailed: (code) => {
      observer.attemptFailed(code);
      if (opening === undefined || opening.events.length >= maxEvents) return;
      opening.events.push({ name: 'attempt failed', at: clock.date(), attributes: { 'portforward.code': code } });
    },
    dialled: (milliseconds, failure, isCounted) => {
      observer.dialled(milliseconds, failure, isCounted);
      const ended = clock.date();
      trace({ name: 'dial', begun: new Date(ended.getTime() - milliseconds), ended, attributes: {}, failure });
    },
  };
}
