import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cryptoWithKeys } from '../../../scripts/crypto-keys.mjs';

const source = join(import.meta.dirname, '../../../node_modules/ssh2/lib/protocol/crypto');

test('only the known source of ssh2’s binding gets getters, and stays as it is', (t) => {
  const work = mkdtempSync(join(tmpdir(), 'portforward-crypto-'));
  t.after(() => rmSync(work, { recursive: true }));
  const file = join(source, 'src', 'binding.cc');
  const before = readFileSync(file, 'utf8');
  cryptoWithKeys(source, work);
  assert.equal(readFileSync(file, 'utf8'), before);
  const made = readFileSync(join(work, 'src', 'binding.cc'), 'utf8');
  assert.equal(made.split('SetPrototypeMethod(tpl, "key", Key);').length - 1, 2, 'one for each direction');

  const other = join(work, 'other');
  mkdirSync(other);
  cpSync(join(source, 'binding.gyp'), join(other, 'binding.gyp'));
  cpSync(join(source, 'src'), join(other, 'src'), { recursive: true });
  writeFileSync(join(other, 'src', 'binding.cc'), `${before}\n`);
  assert.throws(() => cryptoWithKeys(other, work), /SHA-256/);
});
