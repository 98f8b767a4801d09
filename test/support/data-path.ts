// Which way the bytes of ssh go in this run of a test file: scripts/test.ts runs the files of its list once for each.
// Neighbours: src/sidecar/data-path.ts chooses in a pod, ../integration/ssh/through-engine.ts for tests of the driver alone.
import { createRequire } from 'node:module';
import { loadEngine } from '../../src/sidecar/base/native-addon.ts';
import type { EngineAddon } from '../../src/sidecar/base/native-engine.ts';

/** `native` in the second run of a file. */
const dataPathVariable = 'PF_DATA_PATH';

export const isNative: boolean = process.env[dataPathVariable] === 'native';

/** The file of an engine that takes the place of the built one: that with sanitizers. */
export const engineFileVariable = 'PF_ENGINE_FILE';

/** The engine that tests use. @throws Error if it is not built */
export function engineForTests(): EngineAddon {
  const { [engineFileVariable]: file } = process.env;
  if (file !== undefined) return createRequire(import.meta.url)(file) as EngineAddon;
  const { engine, because } = loadEngine();
  if (engine === undefined) throw new Error(`there is no native engine: ${because}`);
  return engine;
}

/** The engine in a run on the native path; undefined in every other. @throws Error if it is not built */
export function engineOfRun(): EngineAddon | undefined {
  return isNative ? engineForTests() : undefined;
}
