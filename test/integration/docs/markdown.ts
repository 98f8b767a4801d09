// The Markdown pages as their readers meet them: headings, links, fenced blocks, commands named in a sentence. Reads only what these
// pages use of Markdown: ATX headings, inline links, fences of three backticks.
// Neighbours: links.test.ts, documents.test.ts, commands.test.ts; test/cluster/docs.test.ts runs what is found here.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..', '..');

/** A fenced block; `language` is '' if it has none. */
export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

export interface Link {
  readonly page: string;
  readonly line: number;
  readonly target: string;
}

export interface Page {
  /** Relative to the root, as in `docs/secrets.md`. */
  readonly path: string;
  /** As GitHub makes them of headings. */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly Link[];
  readonly blocks: readonly Block[];
  /** Text between single backticks, outside of fenced blocks. */
  readonly words: readonly Link[];
}

/** Every Markdown file of the repository. */
export function allPages(): readonly Page[] {
  const foreign = new Set(['node_modules', 'dist', '.git']);
  const paths = globSync('**/*.md', { cwd: root, exclude: (path) => foreign.has(path.split('/')[0] ?? '') });
  return paths.toSorted().map((path) => readPage(path));
}

export function readPage(path: string): Page {
  return parsePage(path, readFileSync(join(root, path), 'utf8'));
}

/** @throws Error for a fence that is never closed: the rest of the page would count as a program. */
export function parsePage(path: string, text: string): Page {
  const anchors = new Map<string, number>();
  const links: Link[] = [];
  const words: Link[] = [];
  const blocks: Block[] = [];
  let open: { line: number; language: string; indent: number; lines: string[] } | undefined;
  for (const [index, content] of text.split('\n').entries()) {
    const line = index + 1;
    const fence = /^(\s*)```(\S*)\s*$/.exec(content);
    if (open !== undefined) {
      if (fence?.[2] === '') {
        blocks.push({ page: path, line: open.line, language: open.language, text: `${open.lines.join('\n')}\n` });
        open = undefined;
      } else open.lines.push(content.slice(open.indent));
      continue;
    }
    if (fence !== null) {
      open = { line, language: fence[2] ?? '', indent: (fence[1] ?? '').length, lines: [] };
      continue;
    }
    const heading = /^#{1,6}\s+(.*)$/.exec(content)?.[1];
    if (heading !== undefined) addAnchor(anchors, heading);
    const prose = content.replaceAll(/`([^`]+)`/g, (_, word: string) => {
      words.push({ page: path, line, target: word });
      return '';
    });
    for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) links.push({ page: path, line, target });
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: the block is never closed`);
  return { path, anchors: new Set(anchors.keys()), links, blocks, words };
}

function addAnchor(anchors: Map<string, number>, heading: string): void {
  const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
  const slug = plain
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
  const before = anchors.get(slug);
  anchors.set(slug, (before ?? -1) + 1);
  if (before !== undefined) anchors.set(`${slug}-${before + 1}`, 0);
}

/** One command of a shell block, with its continued lines joined; comments are left out. */
export function commandsOf(block: Block): readonly string[] {
  const joined = block.text.replaceAll(/\\\n\s*/g, '');
  return joined
    .split('\n')
    .map((line) => line.replace(/(^|\s+)#\s.*$/, '').trim())
    .filter((line) => line !== '');
}

export const isShell = ({ language }: Block): boolean => ['sh', 'bash', 'shell'].includes(language);
