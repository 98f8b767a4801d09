// The judgement of a process's resident memory, in one place: with AddressSanitizer in it, it is not the product's.
// Neighbours: data-path.ts knows such a run, ../fuzz/native/sanitize.ts starts it.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isSanitized } from './data-path.ts';

/** Fails unless `isWithin`. In a run with AddressSanitizer it only prints what was found, and why that is not judged. */
export function assertResident(t: TestContext, isWithin: boolean, found: string): void {
  if (!isSanitized) return assert.ok(isWithin, found);
  t.diagnostic(`resident memory is not judged (${found}): AddressSanitizer keeps what is freed, and a shadow of all`);
}
