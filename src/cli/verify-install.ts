// `portforward verify-install`: whether an install works, one line for each finding. The pod of `helm test` runs it.
// Neighbours: ../controller/verify-install.ts (the work), helm/templates/tests/install.yaml (the pod).

import { defined } from '../contract/defined.ts';
import { verifyInstall as verify } from '../controller/verify-install.ts';
import { createLog } from '../process/log.ts';
import { run } from '../process/run.ts';
import { UsageError } from './usage-error.ts';

export interface VerifyInstallFlags {
  readonly lease: string;
  readonly tryIn: string;
  readonly className: string;
  readonly referencesPolicy?: true;
  readonly kubeconfig?: string;
}

interface Output {
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** A finding was bad. */
class FaultFound extends Error {
  override readonly name = 'FaultFound';
}

/** Ends the process: exit code 0 if the install works, 1 if it does not. @throws UsageError about a wrong option. */
export async function verifyInstall(flags: VerifyInstallFlags, { print, complain }: Output): Promise<never> {
  const [namespace = '', name = '', ...more] = flags.lease.split('/');
  if (namespace === '' || name === '' || more.length > 0) throw new UsageError('--lease is NAMESPACE/NAME');
  const log = createLog({ level: 'silent' });
  const main = async (signal: AbortSignal): Promise<void> => {
    const good = await verify(
      {
        kubeconfig: defined({ file: flags.kubeconfig }),
        lease: { namespace, name },
        namespace: flags.tryIn,
        className: flags.className,
        judgesReferences: flags.referencesPolicy === true,
        log,
        onFinding: ({ ok, sentence }) => print(`${ok ? 'ok  ' : 'FAIL'}  ${sentence}`),
      },
      signal,
    );
    if (!good) throw new FaultFound();
  };
  return run(main, {
    log,
    report: (error) => {
      // Its lines are printed already.
      if (!(error instanceof FaultFound)) complain(error instanceof Error ? error.message : String(error));
    },
  });
}
