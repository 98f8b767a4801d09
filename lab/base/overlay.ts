// Where layers of images can be stacked instead of copied. Neighbours: cluster/node-config.ts (containerd), images/image-build.ts (buildah).
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';

/** False where the directory lies, or would lie, on an overlay itself, as in a container: layers are copied there instead. */
export function overlayIsPossible(directory: string): boolean {
  const overlay = 0x794c7630;
  try {
    return statfsSync(directory).type !== overlay;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || directory === '/') throw error;
    return overlayIsPossible(dirname(directory));
  }
}
