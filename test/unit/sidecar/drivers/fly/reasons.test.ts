// Every kind of failure that the helper can name, and the reason that a user gets for it.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HelperError } from '../../../../../src/sidecar/drivers/fly/helper/helper-error.ts';
import { dialError, nameError } from '../../../../../src/sidecar/drivers/fly/reasons.ts';

const via = 'fra1.gateway.6pn.dev (fra)';
const helper = join(import.meta.dirname, '../../../../../src/sidecar/drivers/fly/helper');

/** By kind: what a dial and what a look-up of a name give for it. */
const reasons: Readonly<Record<string, readonly [dial: string, name: string]>> = {
  refused: ['DestinationRefused', 'TunnelDown'],
  reset: ['DestinationRefused', 'TunnelDown'],
  timeout: ['DestinationTimeout', 'TunnelDown'],
  unreachable: ['DestinationUnreachable', 'TunnelDown'],
  broken: ['TunnelDown', 'TunnelDown'],
  notFound: ['TunnelDown', 'NoRunningMachines'],
  nameServer: ['TunnelDown', 'DestinationNameNotResolved'],
  closed: ['TunnelDown', 'TunnelDown'],
  noDevice: ['TunnelDown', 'TunnelDown'],
  endpoint: ['TunnelDown', 'TunnelDown'],
  socket: ['TunnelDown', 'TunnelDown'],
  internal: ['TunnelDown', 'TunnelDown'],
  // Ours: the helper is gone, which ends the session as well.
  gone: ['TunnelDown', 'TunnelDown'],
};

test('the table has every kind that the helper’s sources name', () => {
  const sources = globSync('*.go', { cwd: helper }).map((file) => readFileSync(join(helper, file), 'utf8'));
  const named = sources.flatMap((text) =>
    [...text.matchAll(/(?:failed\("([a-zA-Z]+)"|return "([a-z]+)"$)/gm)].map(([, first, second]) => first ?? second),
  );
  assert.deepEqual(new Set([...named, 'gone']), new Set(Object.keys(reasons)));
});

for (const [kind, [dial, name]] of Object.entries(reasons)) {
  test(`${kind}: a dial gives ${dial}, a name ${name}`, () => {
    const error = new HelperError(kind, 'the helper’s own text');
    for (const [given, code, subject] of [
      [dialError(error, 'orders-db.internal:5432', via), dial, 'orders-db.internal:5432'],
      [nameError(error, 'orders-db.internal', via), name, 'orders-db.internal'],
    ] as const) {
      assert.equal(given.code, code);
      assert.ok(given.message.includes(subject), given.message);
      assert.ok(!given.message.includes('the helper’s own text'), given.message);
      assert.equal(given.cause, error);
    }
  });
}
