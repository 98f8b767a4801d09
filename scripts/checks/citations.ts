// What comments cite must exist: a promise is cited by its number in docs/promises.md, and pages outside this repository are not cited.
// Neighbour: test/integration/docs/ checks the links of pages.
import type { Finding, Source } from './finding.ts';

/** The numbers of the promises, from the page's headings. */
export function promiseNumbers(page: string): ReadonlySet<number> {
  return new Set([...page.matchAll(/^## Promise (\d+)\b/gm)].map(([, number]) => Number(number)));
}

const citation = /\bpromises?\s(\d+)(?:\s(?:and|to|or)\s(\d+))?/gi;

export function citationFindings({ file, text }: Source, promises: ReadonlySet<number>): Finding[] {
  return text.split('\n').flatMap((content, index) => {
    const cited = [...content.matchAll(citation)].flatMap(([, one, other]) =>
      other === undefined ? [one] : [one, other],
    );
    const line = index + 1;
    return [
      ...cited
        .filter((number) => !promises.has(Number(number)))
        .map((number) => ({ file, line, message: `promise ${number} does not exist: cite one of docs/promises.md` })),
      ...(/\bDESIGN\b/.test(content)
        ? [{ file, line, message: 'a design page outside the repository is cited: cite a page of docs/ instead' }]
        : []),
    ];
  });
}
