import assert from 'node:assert/strict';
import { test } from 'node:test';
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
