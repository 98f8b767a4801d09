// The table of rooms is a true picture: every folder stands in it, no two rooms stand on each other, and the linter refuses each import
// that the table does not have, in a sentence that says where the thing belongs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { rooms } from '../../../scripts/rooms.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const names = Object.keys(rooms);
const topOf = (room: string): string | undefined => room.split('/', 1)[0];

test('every folder with code has its row, and every row its folder', () => {
  const folders = globSync('{src,lab}/**/*.ts', { cwd: root }).map((file) => dirname(file));
  assert.deepEqual([...new Set(folders)].toSorted(), names.toSorted());
});

test('rooms stand on each other in one direction only, but for the two halves of the contract', () => {
  const below = (room: string, seen: ReadonlySet<string>): string[] =>
    (rooms[room] ?? []).flatMap((other) =>
      seen.has(other) ? [`${[...seen, other].join(' → ')}`] : below(other, new Set([...seen, other])),
    );
  const circles = names.flatMap((room) => below(room, new Set([room])));
  assert.deepEqual(
    circles.filter((circle) => !circle.includes('src/contract')),
    [],
  );
});

test('the linter refuses each import that the table does not have, and no other', (t) => {
  const house = mkdtempSync(join(tmpdir(), 'rooms-'));
  t.after(() => rmSync(house, { recursive: true, force: true }));
  for (const entry of ['scripts', 'node_modules', 'oxlint.config.ts', 'package.json']) {
    symlinkSync(join(root, entry), join(house, entry));
  }
  const pairs = names.flatMap((room) => names.filter((other) => other !== room).map((other) => [room, other] as const));
  for (const room of names) {
    mkdirSync(join(house, room), { recursive: true });
    writeFileSync(join(house, room, 'own.ts'), 'export {};\n');
  }
  for (const [room, other] of pairs) {
    const path = posix.relative(room, other);
    const file = `to-${other.replaceAll('/', '-')}.ts`;
    writeFileSync(join(house, room, file), `import '${path.startsWith('.') ? path : `./${path}`}/own.ts';\n`);
  }
  const { stdout } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/oxlint/bin/oxlint'), '--format=json', 'src', 'lab'],
    {
      cwd: house,
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    },
  );
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; help: string; filename: string }[] };
  const refused = diagnostics.filter(({ code }) => code === 'eslint(no-restricted-imports)');
  const expected = pairs.filter(([room, other]) => !(rooms[room] ?? []).includes(other));
  assert.deepEqual(
    refused.map(({ filename }) => filename).toSorted(),
    expected.map(([room, other]) => `${room}/to-${other.replaceAll('/', '-')}.ts`).toSorted(),
  );
  for (const { help, filename } of refused) {
    const sameTop = topOf(dirname(filename)) === /to-(\w+)/.exec(filename)?.[1];
    assert.match(
      help,
      sameTop ? /must not import \S+\/: what both need belongs in \S+/ : /must not import (src|lab)\/: /,
    );
  }
});
