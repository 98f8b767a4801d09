// How much garbage the controller's heap may hold. Neighbours: cli/controller.ts sets it, docs/install.md has what the process needs.
import type { HeapBounds } from '../process/heap.ts';

/**
 * A quarter and compact: the caches of 10,000 PortForwards are filled with 9.9 s of CPU time (8.4 with an eighth and gaps, which were some
 * 80 MiB after the creation; 14.9 with an eighth and compact, and a restart then took 66 s).
 */
export const heapBounds: HeapBounds = { growingPercent: 25, compact: true };
