// Documents by the schema, a few: `npm run fuzz -- documents` takes a hundred thousand. `PF_FUZZ_SEED` repeats a failure.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fuzzDocuments } from '../../fuzz/documents/judges.ts';
import { type Api, startApi } from './api.ts';

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api[Symbol.asyncDispose]());

const inputs = 400;

test('the API server and `portforward check` agree on documents by the schema, each at once, and take what they become', async (t) => {
  const seed = Number(process.env['PF_FUZZ_SEED'] ?? 20261130);
  const { accepted, refused, children, slowestMs } = await fuzzDocuments(api, inputs, seed);
  t.diagnostic(
    `${accepted} accepted with ${children} objects, ${refused} refused, the slowest in ${slowestMs.toFixed(0)} ms`,
  );
  assert.equal(accepted + refused, inputs);
  // Otherwise it shows little.
  assert.ok(accepted > inputs / 10 && refused > inputs / 10, `${accepted} accepted, ${refused} refused`);
  assert.ok(children > 3 * (inputs / 10), `${children} objects`);
});
