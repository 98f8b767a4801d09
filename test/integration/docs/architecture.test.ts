// The map agrees with the house: ARCHITECTURE.md names every room; every file that it, CONTRIBUTING.md or a comment of a source names
// exists, in diagrams, too.
// Neighbours: links.test.ts (links and paths of all pages), scripts/rooms.ts (the rooms).
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test } from 'node:test';
import { rooms } from '../../../scripts/rooms.ts';
import { root } from './markdown.ts';

const pages = ['ARCHITECTURE.md', 'CONTRIBUTING.md'] as const;
const textOf = (page: string): string => readFileSync(join(root, page), 'utf8');
const files = globSync(['{src,test,lab,scripts,helm,crds,docs}/**/*', '*.*'], { cwd: root });
const paths = new Set(files);
const names = new Set(files.map((file) => basename(file)));
const sourceNames = new Set(files.filter((file) => file.startsWith('src/')).map((file) => basename(file)));
const fileName = /(?<![\w./<>*-])[\w./-]*\w\.(?:ts|mjs|json|yaml)\b(?![/\w])/g;

/** What a page names that does not exist, as `file.ts` or `some/folder/file.ts` (from the root), and as `call()`. */
function missing(text: string, sources: string): string[] {
  const named = text.match(fileName) ?? [];
  const calls = [...text.matchAll(/`(?:\w+\.)?#?(\w+)\([^)`]*\)`/g)].map(([, name = '']) => name);
  return [
    ...named.filter((file) => !(file.includes('/') ? paths.has(file) : names.has(file))),
    ...calls.filter((name) => !new RegExp(`\\b${name}[(<]`).test(sources)),
  ];
}

const comment = /(?:^|\s)(?:\/\/|\/\*\*|\*)\s(.*)$/;

/**
 * Files that the comments of a source name, as `file:line: name`, and that do not exist. `kube/rest.ts` may stand for any path that ends so;
 * a bare `rest.ts` in a comment of src/ is a file of src/, or a namesake elsewhere would hide that it is gone.
 */
function missingNeighbours(file: string, text: string): string[] {
  return text.split('\n').flatMap((content, index) => {
    const named = comment.exec(content)?.[1]?.match(fileName) ?? [];
    return named
      .filter((name) => !exists(name.replace(/^(?:\.\.?\/)+/, ''), file.startsWith('src/') ? sourceNames : names))
      .map((name) => `${file}:${index + 1}: ${name}`);
  });
}

const exists = (name: string, bareNames: ReadonlySet<string>): boolean =>
  paths.has(name) || (name.includes('/') ? files.some((file) => file.endsWith(`/${name}`)) : bareNames.has(name));

suite('the map of the house', () => {
  const sources = files
    .filter((file) => file.startsWith('src/') && file.endsWith('.ts'))
    .map((file) => textOf(file))
    .join('\n');

  for (const page of pages) {
    test(`every file and function that ${page} names exists`, () => {
      assert.deepEqual(missing(textOf(page), sources), []);
    });
  }

  test('what does not exist is noticed, in a sentence and in a diagram', () => {
    const text =
      'See `src/controller/reconcile.ts`, `bridge.ts`, `src/nowhere/bridge.ts` `session.fly()` and `#fly()`.\n```\nnowhere.ts → tunnel.ts\n```\n';
    assert.deepEqual(missing(text, sources), ['src/nowhere/bridge.ts', 'nowhere.ts', 'fly', 'fly']);
  });

  test('the table of rooms in ARCHITECTURE.md has every room of scripts/rooms.ts, and no other', () => {
    const rows = [...textOf('ARCHITECTURE.md').matchAll(/^\| `((?:src|lab)[\w/-]*)` \|/gm)].map(
      ([, room = '']) => room,
    );
    assert.deepEqual(rows.toSorted(), Object.keys(rooms).toSorted());
  });

  test('every file that a comment of the sources names exists', () => {
    const sources = files.filter((file) => /^(src|lab|test|scripts)\/.*\.(ts|mjs)$/.test(file));
    // The examples of this file do not exist.
    const judged = sources.filter((file) => !import.meta.filename.endsWith(file));
    assert.ok(judged.length > 300, `only ${judged.length} sources were found`);
    assert.deepEqual(
      judged.flatMap((file) => missingNeighbours(file, textOf(file))),
      [],
    );
  });

  test('a neighbour that does not exist is noticed', () => {
    const text = '// Neighbours: bridge.ts, ../base/driver.ts, nowhere.ts and clients/driver.ts.\nopen("other.ts");\n';
    assert.deepEqual(missingNeighbours('x.ts', text), ['x.ts:1: nowhere.ts', 'x.ts:1: clients/driver.ts']);
    const namesake = '// Neighbours: world.ts.\n';
    assert.deepEqual(missingNeighbours('test/x.ts', namesake), []);
    assert.deepEqual(missingNeighbours('src/x.ts', namesake), ['src/x.ts:1: world.ts']);
  });
});
