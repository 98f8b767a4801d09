/**
 * Events for people (`kubectl describe`): events.k8s.io/v1, repeats merged into a series, floods cut off. Recording
 * never waits and never fails; an Event is worth less than the work it tells of.
 */
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { Kube } from './kube.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';

export interface EventNote {
  /** The object the event is about. */
  readonly regarding: KubeObject;
  readonly related?: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** UpperCamelCase, why. */
  readonly reason: string;
  /** UpperCamelCase, what was done. */
  readonly action: string;
  /** A sentence; cut at 1024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly kube: Kube;
  /** Such as `portforward.dev/controller`. */
  readonly reportingController: string;
  /** Unique per process. */
  readonly reportingInstance: string;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
}

export class EventRecorder {
  constructor(_options: EventRecorderOptions) {
    throw new Error('not written yet');
  }

  /** Notes an event and returns at once. Emit transitions, not states. */
  record(_note: EventNote): void {
    throw new Error('not written yet');
  }

  /** Writes events until the signal aborts, then what is queued (2 s at most), and resolves. */
  run(_signal: AbortSignal): Promise<void> {
    throw new Error('not written yet');
  }
}
