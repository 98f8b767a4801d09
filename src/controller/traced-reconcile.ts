// Each reconcile pass as a span. Neighbours: reconcile.ts (the pass), tunnel-reconciler.ts puts this around it.
import { TunnelError } from '../contract/errors.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import type { ReportSpan } from '../process/span.ts';
import { nameOf } from './kube/base/object.ts';
import type { Reconcile } from './kube/workqueue/controller.ts';

/** The same passes, traced if `trace` is given: whose, how long, and the code of a failure. */
export function tracedReconcile(
  reconcile: Reconcile,
  trace: ReportSpan | undefined,
  clock: Clock = systemClock,
): Reconcile {
  if (trace === undefined) return reconcile;
  return async (key, context) => {
    const begun = clock.date();
    const { namespace = '', name } = nameOf(key);
    const report = (error: unknown): void =>
      trace({
        name: 'reconcile',
        begun,
        ended: clock.date(),
        attributes: { 'k8s.namespace.name': namespace, 'portforward.name': name },
        failure: error === undefined ? undefined : codeOf(error),
      });
    try {
      const result = await reconcile(key, context);
      report(result.failure);
      return result;
    } catch (error) {
      report(error ?? 'unknown');
      throw error;
    }
  };
}

/** Never the sentence: that of an API server may quote what was written. */
function codeOf(error: unknown): string {
  if (error instanceof TunnelError) return error.code;
  return error instanceof Error ? error.name : 'Error';
}
