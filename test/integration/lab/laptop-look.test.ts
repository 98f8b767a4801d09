// The first look of the README, as root and as the only user of a user namespace, which is what a user without root has.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..', '..');

/** Runs it with a closed standard input, and `temporary` for what it makes. */
async function look(
  front: readonly string[],
  temporary: string,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const words = ['exec "$@" <&-', 'sh', ...front, process.execPath, 'scripts/demo.ts', '--laptop'];
  const child = spawn('sh', ['-c', ...words], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

for (const [who, front] of [
  ['root', []],
  ['a user without root', ['unshare', '--user', '--map-root-user', '--']],
] as const) {
  test(`${who} sees the rows, and sees them again after each bastion was killed`, async (t) => {
    // A folder of its own: other tests make networks at the same time.
    const temporary = mkdtempSync(join(tmpdir(), 'look-'));
    // The database runs as a user of its own.
    chmodSync(temporary, 0o755);
    t.after(() => rmSync(temporary, { recursive: true, force: true }));
    const ours = (): string[] => readdirSync(temporary).filter((name) => name.startsWith('portforward-network-'));
    const { code, output } = await look(front, temporary);
    assert.equal(code, 0, output);
    const rows = '    1|Ada|120.50\n    2|Grace|80.00\n    3|Barbara|42.42\n';
    assert.equal(output.split(rows).length, 4, output);
    assert.match(output, /\$ psql -h 198\.19\.0\.10\n.*(No route to host|Network is unreachable)/);
    const killed: (string | undefined)[] = [];
    let used: string | undefined;
    // If the first bastion was slow, the second was used for a moment: what counts is the one in use when it is killed.
    for (const [, connected, dead] of output.matchAll(
      /connected via ([\w.-]+):22|(\S+) is killed, with every session/g,
    )) {
      if (dead !== undefined) assert.equal(dead, used, output);
      if (dead !== undefined) killed.push(dead);
      used = connected;
    }
    assert.equal(killed.length, 2, output);
    assert.equal(new Set(killed).size, 2, output);
    assert.equal(used, killed[0], output);
    assert.deepEqual(ours(), []);
  });
}
