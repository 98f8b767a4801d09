// Plain English: words and phrases that a reader whose first language is another one must stop at, each with a better one. They are looked
// for in everything that people read: comments, sentences, names and pages.
// Neighbour: ../house-rules.ts chooses the files; CONTRIBUTING.md has the style.
import type { Finding, Source } from './finding.ts';

/** A regular expression without anchors; a blank also matches a line break with the next line's comment mark. */
const betterWords: Readonly<Record<string, string>> = {
  'unless told': 'write "Default: …"',
  'unless otherwise told': 'write "Default: …"',
  'where told': 'write "if given"',
  shall: 'write "must" or "will"',
  'be (it|they)': 'write "whether … or …"',
  'mend(s|ed|ing)?': 'write "fix", "repair" or "remedy"',
  'whither|thither|whence|thence': 'write "where" or "from where"',
  'whereof|thereof|wherein|therein|whereby|wherefore': 'name the thing',
  'of use': 'write "useful"',
  '(is|are) to be': 'write "must be"',
  'where there (is|are) none': 'write "if any", or what happens without one',
  'tells? that': 'write "reports that" or "shows that"',
  'for ever': 'write "forever"',
  unheard: 'say who does not notice',
  'hitherto|henceforth|forthwith|lest|nought|naught|aught|amiss|betimes': 'write today’s word',
  'save for': 'write "except for"',
  'made whole': 'write "completed"',
};

const blank = '(?:\\s|//|\\*|#)+';
const patterns = Object.entries(betterWords).map(([words, better]) => ({
  pattern: new RegExp(`(?<![\\w-])(?:${words.replaceAll(' ', blank)})(?![\\w-])`, 'gi'),
  better,
}));

export function wordFindings({ file, text }: Source): Finding[] {
  return patterns
    .flatMap(({ pattern, better }) =>
      [...text.matchAll(pattern)].map(({ index, 0: words }) => ({
        file,
        line: lineAt(text, index),
        message: `"${words.replace(new RegExp(blank, 'g'), ' ')}" is not plain English: ${better}`,
      })),
    )
    .toSorted((a, b) => a.line - b.line);
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
