// How tests judge a promised time (docs/promises.md, promise 4): the exact figure is printed beside its budget, and only three times the
// budget fails the test, because a busy machine is not the tunnel's fault.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

/** Prints what `what` took. @throws AssertionError beyond three times the budget. */
export function judge(t: TestContext, what: string, tookMs: number, budgetMs: number): void {
  const verdict = tookMs <= budgetMs ? 'within' : 'OVER';
  t.diagnostic(`${what}: ${Math.round(tookMs)} ms, ${verdict} the budget of ${budgetMs} ms`);
  assert.ok(tookMs <= 3 * budgetMs, `${what} took ${Math.round(tookMs)} ms; the budget is ${budgetMs} ms`);
}
