// How much garbage the controller's heap may hold. Neighbours: cli/controller.ts sets it, docs/install.md has what the process needs.
import type { HeapBounds } from '../process/heap.ts';

/**
 * An eighth: with a quarter, 1,000 PortForwards need 16 MiB more; the price while thousands of tunnels start is a fifth of the process' time
 * instead of a twentieth. Compact: a heap of that kind took 83 MiB instead of 111 after its objects had been written six times, for a seventh
 * more CPU time meanwhile.
 */
export const heapBounds: HeapBounds = { growingPercent: 12, compact: true };
