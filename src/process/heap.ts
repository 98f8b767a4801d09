// How a process collects garbage. Neighbours: cli/controller.ts and the drivers of sidecar/ call it, each with what was measured for it.
import { setFlagsFromString } from 'node:v8';

export interface HeapBounds {
  /** How much the heap may grow over what is in use before garbage is collected, in per cent. The smaller, the more CPU time. */
  readonly growingPercent: number;
  /**
   * What lasts is moved together and the gaps between go back to the system, also while the process works; else that waits for an idle one.
   * It is V8's `--optimize-for-size`; set here and not for the command line, it leaves the size of the young generation alone.
   */
  readonly compact?: boolean;
}

/**
 * Bounds the garbage in the heap of this process from now on. By itself V8 lets a heap of 27 MiB grow to 60, and one of 40 to 140: what a
 * connection or a pass waits for lives just long enough to be taken for lasting.
 */
export function boundGarbage({ growingPercent, compact = false }: HeapBounds): void {
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`);
  if (compact) setFlagsFromString('--optimize-for-size');
}
