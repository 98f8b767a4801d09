// Every link of a page leads to a file and to its heading. Paths named in a sentence exist, too.
// Neighbours: architecture.test.ts (bare file names and diagrams of two pages), markdown.ts (reads the pages).
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { suite, test } from 'node:test';
import { allPages, type Link, type Page, parsePage, root } from './markdown.ts';

const pages = new Map(allPages().map((page) => [page.path, page]));

/** What is wrong with the link, '' if nothing. Other sites are not asked: a test's verdict must not depend on them. */
function complaint({ page, line, target }: Link, known: ReadonlyMap<string, Page>): string {
  if (/^(https?|mailto):/.test(target)) return '';
  const [file = '', anchor] = target.split('#');
  const path = file === '' ? page : normalize(join(dirname(page), decodeURI(file)));
  if (!existsSync(join(root, path))) return `${page}:${line}: ${target}: there is no ${path}`;
  if (anchor === undefined || known.get(path)?.anchors.has(anchor) === true) return '';
  return `${page}:${line}: ${target}: ${path} has no heading of that name`;
}

suite('links', () => {
  test('every relative link leads to an existing file and heading', () => {
    const links = [...pages.values()].flatMap((page) => page.links);
    assert.ok(links.length > 30, `only ${links.length} links were found`);
    assert.deepEqual(
      links.map((link) => complaint(link, pages)).filter((text) => text !== ''),
      [],
    );
  });

  test('a link to nowhere is noticed', () => {
    const { links } = parsePage('docs/x.md', '[a](nowhere.md) [b](../README.md#nowhere) [c](../README.md#install)\n');
    assert.deepEqual(
      links.map((link) => complaint(link, pages)),
      [
        'docs/x.md:1: nowhere.md: there is no docs/nowhere.md',
        'docs/x.md:1: ../README.md#nowhere: README.md has no heading of that name',
        '',
      ],
    );
  });

  test('files and folders of the sources that a sentence names exist', () => {
    const named = [...pages.values()]
      .flatMap((page) => page.words)
      .filter(({ target }) => /^(src|test|scripts|docs|helm|crds)\/[\w./-]+$/.test(target));
    assert.ok(named.length > 20, `only ${named.length} paths were found`);
    assert.deepEqual(
      named.filter(({ target }) => !existsSync(join(root, target))).map((at) => `${at.page}:${at.line}: ${at.target}`),
      [],
    );
  });

  test('every page is reached from the README by links', () => {
    const reached = new Set<string>();
    const walk = (path: string): void => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const { target } of pages.get(path)?.links ?? []) {
        const file = normalize(join(dirname(path), target.split('#')[0] ?? ''));
        if (pages.has(file)) walk(file);
        else for (const page of pages.keys()) if (page.startsWith(file.endsWith('/') ? file : `${file}/`)) walk(page);
      }
    };
    walk('README.md');
    assert.deepEqual(
      [...pages.keys()].filter((path) => !reached.has(path)),
      [],
    );
  });
});
