import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../../src/sidecar/base/native-addon.ts';
import { ended, portforward } from './laptop.ts';

test('--version says what the command version says', async () => {
  const [command, long, short] = await Promise.all(
    ['version', '--version', '-V'].map((word) => ended(portforward([word]))),
  );
  assert.equal(command?.end, 'exit 0');
  assert.match(command?.output ?? '', /portforward \S+, Node \d+\./);
  assert.deepEqual(long, command);
  assert.deepEqual(short, command);
});

test('version --check-data-path says whether this build has the engine for the bytes of ssh, and fails without it', async () => {
  const { end, output } = await ended(portforward(['version', '--check-data-path']));
  const { because } = loadEngine();
  if (because === undefined) assert.match(output, /native data path: present/);
  else assert(output.includes(`native data path: MISSING, ${because}`), output);
  assert.equal(end, because === undefined ? 'exit 0' : 'exit 1');
});
