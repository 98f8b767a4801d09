// One walk of `doctor` over a config, for the tests beside it.
import assert from 'node:assert/strict';
import { defined } from '../../../src/contract/defined.ts';
import type { Code } from '../../../src/contract/errors.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { type InspectOptions, inspect } from '../../../src/sidecar/doctor/inspect.ts';
import type { WalkStep } from '../../../src/sidecar/doctor/step.ts';
import { permissionsFor } from '../../support/permissions.ts';

/** The steps of a whole walk. */
export async function walk(
  config: TunnelConfig,
  openDriver?: InspectOptions['openDriver'],
): Promise<readonly WalkStep[]> {
  const steps: WalkStep[] = [];
  await inspect({
    config,
    podUid: 'test',
    log: silentLog(),
    budget: new ByteBudget(),
    environment: process.env,
    permissions: permissionsFor(config),
    signal: AbortSignal.timeout(60_000),
    ...defined({ openDriver }),
    onStep: (step) => steps.push(step),
  });
  return steps;
}

/** `login at bastion a:22: ok` for each step, for messages. */
export const outline = (steps: readonly WalkStep[]): string =>
  steps
    .map(({ at, step, ok, reason, message }) => `${step} at ${at}: ${ok ? 'ok' : `${reason} ${message}`}`)
    .join('\n');

/** The one fault of a walk: it must be the last step, with that code, a sentence, a remedy and a command. */
export function onlyFault(steps: readonly WalkStep[], step: string, code: Code): WalkStep {
  const faults = steps.filter(({ ok }) => !ok);
  const [fault] = faults;
  assert.ok(fault !== undefined && faults.length === 1, outline(steps));
  assert.equal(`${fault.step}: ${fault.reason}`, `${step}: ${code}`, outline(steps));
  assert.equal(steps.at(-1), fault, outline(steps));
  assert.ok((fault.remedy ?? '') !== '', 'what to do');
  assert.notDeepEqual(fault.advice, [], `a command to run for ${code}`);
  return fault;
}
