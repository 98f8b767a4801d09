// Every code and every reason that a person may meet: a test shows it, and docs/errors.md explains it.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { conditionReasons } from '../../../src/contract/api/condition.ts';
import { errorCodes } from '../../../src/contract/error-codes.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const words = (text: string): Set<string> => new Set(text.match(/\b[A-Z][A-Za-z]+\b/g));

const reasons = [...Object.keys(errorCodes), ...Object.keys(conditionReasons)];

/** Seen in a world that does not name it: test/integration/fly/recovery.test.ts kills the helper. */
const unnamed = new Set(['HelperFailed']);

test('every code and every reason is seen in a test', () => {
  const files = globSync('test/**/*.{test.ts,yaml}', { cwd: root });
  const seen = words(files.map((file) => readFileSync(`${root}${file}`, 'utf8')).join('\n'));
  assert.deepEqual(
    reasons.filter((reason) => !seen.has(reason) && !unnamed.has(reason)),
    [],
  );
});

test('every code and every reason is explained in docs/errors.md, in an entry of its own', () => {
  const page = readFileSync(`${root}docs/errors.md`, 'utf8');
  const entries = new Set([...page.matchAll(/^(?:#+ |\| )(\w+)/gm)].map(([, name]) => name));
  assert.deepEqual(
    reasons.filter((reason) => !entries.has(reason)),
    [],
  );
});
