// The same content gives the same archive, whoever wrote the files and when.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipped, writeTar } from '../../../scripts/release/archive.ts';
import { digestOf } from '../../../scripts/release/oci-layout.ts';

const work = mkdtempSync(join(tmpdir(), 'portforward-archive-'));
after(() => rmSync(work, { recursive: true, force: true }));

async function archived(name: string, order: readonly string[], mode: number, seconds: number): Promise<Buffer> {
  const directory = join(work, name);
  mkdirSync(join(directory, 'inner'), { recursive: true, mode: 0o700 });
  for (const file of order) {
    writeFileSync(join(directory, file), `content of ${file}`);
    chmodSync(join(directory, file), mode);
    utimesSync(join(directory, file), seconds, seconds);
  }
  const tar = join(work, `${name}.tar`);
  await writeTar(tar, { directory, epoch: 1_700_000_000, prefix: 'app/' });
  return gzipped(tar);
}

test('order, times and modes of the files on disk leave no trace', async () => {
  const one = await archived('one', ['b.txt', 'a.txt', 'inner/c.txt'], 0o600, 1);
  const other = await archived('other', ['inner/c.txt', 'a.txt', 'b.txt'], 0o644, 1_600_000_000);
  assert.equal(digestOf(one), digestOf(other));
});

test('names stand below the prefix, owned by root, at the time that was told', async () => {
  await archived('listed', ['a.txt'], 0o600, 1);
  const args = ['--list', '--verbose', '--numeric-owner', '--full-time', '--utc', '--file', join(work, 'listed.tar')];
  const lines = execFileSync('tar', args, { encoding: 'utf8' }).trim().split('\n');
  assert.deepEqual(
    lines.map((line) => line.replaceAll(/\s+/g, ' ')),
    [
      'drwxr-xr-x 0/0 0 2023-11-14 22:13:20 app/',
      '-rw-r--r-- 0/0 16 2023-11-14 22:13:20 app/a.txt',
      'drwxr-xr-x 0/0 0 2023-11-14 22:13:20 app/inner/',
    ],
  );
});
