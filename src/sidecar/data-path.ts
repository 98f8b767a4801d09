// Chooses how the bytes of ssh go: through the native engine, or in JavaScript alone. The latter carries everything as well, at more CPU
// time, so that nothing about the engine is ever a reason not to start.
// Neighbours: main.ts asks when a pod starts, sidecar.ts opens what it got; base/native-addon.ts finds the engine, engine-crashes.ts knows
// how it fared before.
import type { TunnelConfig } from '../contract/tunnel-config.ts';
import type { Logger } from '../process/log.ts';
import type { ByteBudget } from './base/byte-budget.ts';
import { loadEngine } from './base/native-addon.ts';
import type { Engine, EngineAddon } from './base/native-engine.ts';
import { crashedTooOften } from './engine-crashes.ts';

export interface DataPathOptions {
  readonly config: TunnelConfig;
  /** False: an administrator keeps the engine off. */
  readonly allowed: boolean;
  /** Where crashes are noted. */
  readonly crashFile: string;
  readonly log: Logger;
}

/** The engine for this process; undefined if there is no use for it, or if it has to stay off. Says in the log why. */
export function chooseEngine({ config, allowed, crashFile, log }: DataPathOptions): EngineAddon | undefined {
  // Behind a jump host a session has no socket that the engine could take.
  if (config.driver !== 'ssh' || config.ssh.jumpHosts.length > 0) return undefined;
  if (!allowed) {
    log.info('the native data path is turned off');
    return undefined;
  }
  // Before it is loaded: a file that is damaged, or made for another processor, ends the process as it is loaded.
  if (crashedTooOften(crashFile, new Date())) {
    log.warn(
      'the process crashed three times in ten minutes: it starts without the native data path, and uses it again when it starts later than that',
    );
    return undefined;
  }
  const loaded = loadEngine();
  if (loaded.engine === undefined) {
    const fields = { because: loaded.because };
    if (process.platform === 'linux') log.warn(fields, 'there is no native data path: bytes cost more CPU time');
    return undefined;
  }
  return loaded.engine;
}

/** An engine that shares the budget; undefined, and a line in the log, if the kernel has no descriptors for it. */
export function openEngine(addon: EngineAddon | undefined, budget: ByteBudget, log: Logger): Engine | undefined {
  if (addon === undefined) return undefined;
  try {
    return new addon.Engine({ budget: budget.cells, budgetTotal: budget.total });
  } catch (error) {
    log.warn({ error }, 'the native data path could not be opened: bytes cost more CPU time');
    return undefined;
  }
}
