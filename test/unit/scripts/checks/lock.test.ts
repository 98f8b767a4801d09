// A lock without a hash, or with an address, is named with what to run; this repository's own has neither.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockFindings } from '../../../../scripts/checks/lock.ts';

const lock = (packages: Record<string, object>): string[] =>
  lockFindings({ file: 'package-lock.json', text: JSON.stringify({ packages }) }).map(({ message }) => message);

const hashed = { version: '1.0.0', integrity: 'sha512-AAAA' };

test('a package without a hash and one with an address are named, with the commands that help', () => {
  const found = lock({
    '': { name: 'portforward' },
    'node_modules/good': hashed,
    'node_modules/@scope/bare': { version: '1.0.0', optional: true },
    'node_modules/tied': { ...hashed, resolved: 'https://registry.example/tied.tgz' },
  });
  assert.equal(found.length, 2);
  assert.match(found[0] ?? '', /^node_modules\/@scope\/bare has no integrity hash: npm install .*complete-lock\.mjs$/);
  assert.match(found[1] ?? '', /^node_modules\/tied carries a download address: npm install .*complete-lock\.mjs$/);
});

test("this repository's lock is in that form", () => {
  const file = join(import.meta.dirname, '../../../../package-lock.json');
  assert.deepEqual(lockFindings({ file, text: readFileSync(file, 'utf8') }), []);
});
