// How the process of a tunnel to fly.io collects garbage. Neighbour: driver.ts calls it.
import { setFlagsFromString } from 'node:v8';

/** How much the heap may grow over what is in use before garbage is collected. */
const growingPercent = 25;

/**
 * Bounds the garbage in the heap of this process. By itself V8 lets a heap of 27 MiB grow to 60: what a thousand connections leave behind has
 * lived long enough to be taken for lasting, and while their clients read nothing there is no reason to collect it.
 */
export function boundGarbage(): void {
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`);
}
