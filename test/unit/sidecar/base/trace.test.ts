import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quoted } from '../../../../src/sidecar/base/trace.ts';

test('text of a far side is quoted: its first line, in printable characters', () => {
  assert.equal(quoted('SSH-2.0-OpenSSH_9.9'), '“SSH-2.0-OpenSSH_9.9”');
  assert.equal(quoted('  Zugriff verweigert: größer\r\nsecond line'), '“Zugriff verweigert: größer”');
  assert.equal(quoted('\u001b[2J\u0007red\u202eden'), '“·[2J·red·den”');
  assert.equal(quoted('he said “yes” and left'), '“he said "yes" and left”');
  assert.equal(quoted(''), '“”');
});

test('at most 200 characters of it are kept, and none is cut in half', () => {
  assert.equal(quoted('x'.repeat(200)), `“${'x'.repeat(200)}”`);
  assert.equal(quoted('x'.repeat(5000)), `“${'x'.repeat(199)}…”`);
  assert.equal(quoted(`${'x'.repeat(198)}𝄞𝄞`), `“${'x'.repeat(198)}…”`);
});
