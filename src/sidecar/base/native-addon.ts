// Finds the native engine's addon: beside the bundle, or where a checkout builds it. Linux only.
// Neighbours: native-engine.ts is its interface, ../data-path.ts decides whether it is used, cli/version.ts reports it.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { EngineAddon } from './native-engine.ts';

const interfaceVersion = 1;

/** Beside a bundle, as scripts/build.ts puts it; in a checkout where scripts/run.mjs builds it. Nowhere else: it is code, and a folder beyond may be another's. */
const place = import.meta.url.endsWith('.ts')
  ? join(import.meta.dirname, '../../../native/build/engine.node')
  : join(import.meta.dirname, 'engine.node');

export type LoadedEngine =
  | { readonly engine: EngineAddon; readonly because?: undefined }
  | { readonly engine: undefined; readonly because: string };

/** The addon, or why there is none. Never throws. */
export function loadEngine(): LoadedEngine {
  if (process.platform !== 'linux') return { engine: undefined, because: 'it exists for Linux only' };
  const require = createRequire(import.meta.url);
  try {
    const engine = require(place) as EngineAddon;
    const { interfaceVersion: version }: { readonly interfaceVersion: number } = engine;
    if (version === interfaceVersion) return { engine };
    return { engine: undefined, because: `its interface has version ${version}, not ${interfaceVersion}` };
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    return { engine: undefined, because: isMissing ? 'it is not part of this build' : String(error) };
  }
}
