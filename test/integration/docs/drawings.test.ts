// The drawings in pages: each Mermaid block is of a kind and made of lines that Mermaid understands, and its parts are declared. The README's
// picture is a whole SVG without scripts.
// Neighbours: links.test.ts; scripts/demo/recording.ts makes the picture.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { allPages, root } from './markdown.ts';

const blocks = allPages().flatMap(({ blocks: of }) => of.filter(({ language }) => language === 'mermaid'));

/** The grammar of what is drawn here; a new kind needs its lines. */
const grammars: Readonly<Record<string, readonly RegExp[]>> = {
  'stateDiagram-v2': [/^(?:\[\*\]|[A-Z]\w*) --> (?:\[\*\]|[A-Z]\w*)(?:: [^:;#]+)?$/],
  sequenceDiagram: [
    /^participant [A-Z] as [^:;#]+$/,
    /^[A-Z](?:->>|-->>|-x|--x)[A-Z]: [^;#]+$/,
    /^Note (?:over|left of|right of) [A-Z](?:,[A-Z])?: [^;#]+$/,
  ],
};

test('each drawing is of lines that Mermaid understands', () => {
  assert.ok(blocks.length >= 2, `only ${blocks.length} drawings were found`);
  for (const { page, line, text } of blocks) {
    const [kind = '', ...lines] = text
      .trim()
      .split('\n')
      .map((each) => each.trim());
    const grammar = grammars[kind];
    assert.ok(grammar, `${page}:${line}: ${kind} is not known here`);
    for (const each of lines)
      assert.ok(
        grammar.some((rule) => rule.test(each)),
        `${page}:${line}: ${each}`,
      );
  }
});

test('a sequence names only its participants, and a life begins and ends', () => {
  for (const { page, text } of blocks) {
    const declared = new Set([...text.matchAll(/participant ([A-Z]) /g)].map(([, name]) => name));
    const used = [...text.matchAll(/^\s*([A-Z])-+(?:>>|x)([A-Z]):/gm)].flatMap(([, from, to]) => [from, to]);
    assert.deepEqual(
      used.filter((name) => !declared.has(name)),
      [],
      page,
    );
    if (!text.startsWith('stateDiagram')) continue;
    assert.match(text, /\[\*\] --> \w/, page);
    assert.match(text, /\w --> \[\*\]/, page);
  }
});

test('the README’s picture is well-formed, has no script, and shows the rows through both bastions', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, path = ''] = /!\[[^\]]+\]\((docs\/images\/[\w-]+\.svg)\)/.exec(readme) ?? [];
  const picture = readFileSync(join(root, path), 'utf8');
  const open = [...picture.matchAll(/<([a-z]+)\b[^>]*?(\/?)>/g)]
    .filter(([, , closed]) => closed === '')
    .map(([, name = '']) => name);
  const closed = [...picture.matchAll(/<\/([a-z]+)>/g)].map(([, name = '']) => name);
  assert.deepEqual(open.toSorted(), closed.toSorted());
  assert.doesNotMatch(picture, /<script|\bon[a-z]+=|href=|@import|url\(/);
  assert.equal(picture.match(/1\|Ada\|120\.50/g)?.length, 3);
  for (const letter of ['a', 'b'])
    assert.match(picture, new RegExp(`connected via bastion-${letter}\\.example\\.com:22`));
});
