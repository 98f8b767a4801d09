// Which way the bytes of ssh go in this run of a test file: scripts/test.ts runs the files of its list once for each.
// Neighbours: src/sidecar/data-path.ts chooses in a pod, ../integration/ssh/through-engine.ts for tests of the driver alone.
import { loadEngine } from '../../src/sidecar/base/native-addon.ts';
import type { EngineAddon } from '../../src/sidecar/base/native-engine.ts';

/** `native` in the second run of a file. */
const dataPathVariable = 'PF_DATA_PATH';

export const isNative: boolean = process.env[dataPathVariable] === 'native';

/** The file of the engine with sanitizers. A Node that has this variable loads it in place of every other: test/fuzz/native/sanitized-node.ts. */
export const sanitizedEngineVariable = 'PF_SANITIZED_ENGINE';

export const isSanitized: boolean = process.env[sanitizedEngineVariable] !== undefined;

/** The engine that tests use. @throws Error if it is not built */
export function engineForTests(): EngineAddon {
  const { engine, because } = loadEngine();
  if (engine === undefined) throw new Error(`there is no native engine: ${because}`);
  return engine;
}

/** The engine in a run on the native path; undefined in every other. @throws Error if it is not built */
export function engineOfRun(): EngineAddon | undefined {
  return isNative ? engineForTests() : undefined;
}
