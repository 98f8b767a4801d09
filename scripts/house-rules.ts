// The rules of this repository that no tool of others judges; each is a pure function in checks/.
// Neighbours: check.ts runs this as one step, checks/ has a file for each rule.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { citationFindings, promiseNumbers } from './checks/citations.ts';
import type { Finding, Source } from './checks/finding.ts';
import { formFindings } from './checks/form.ts';
import { lockFindings } from './checks/lock.ts';
import { memberExceptions } from './checks/member-exceptions.ts';
import { memberFindings } from './checks/members.ts';
import { medianLines } from './checks/sizes.ts';
import { typeNameFindings } from './checks/type-names.ts';
import { wordFindings } from './checks/words.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string): Source => ({ file, text: readFileSync(join(root, file), 'utf8') });
const all = (...patterns: string[]): Source[] => globSync(patterns, { cwd: root }).toSorted().map(read);

const product = all('src/**/*.ts');
// The checks themselves and their tests have to spell what they look for.
const code = all('{src,lab,test,scripts}/**/*.{ts,mjs}').filter(({ file }) => !/(^|\/)checks\//.test(file));
// CONTRIBUTING.md has a table of how not to write.
const pages = all('*.md', 'docs/**/*.md', 'helm/**/*.{md,txt,yaml}').filter(({ file }) => file !== 'CONTRIBUTING.md');
const promises = promiseNumbers(read('docs/promises.md').text);

const findings: Finding[] = [
  ...lockFindings(read('package-lock.json')),
  ...typeNameFindings(product),
  ...memberFindings(product, memberExceptions),
  ...code.flatMap((source) => [...citationFindings(source, promises), ...formFindings(source)]),
  ...[...code, ...pages].flatMap(wordFindings),
];

for (const { file, line, message } of findings) {
  console.log(`${file}${line === undefined ? '' : `:${line}`}: ${message}`);
}
const medianMax = 90;
const median = medianLines(product);
console.log(`the median file of src/ has ${median} lines (at most ${medianMax})`);
if (findings.length > 0 || median > medianMax) {
  console.log(`${findings.length} found; scripts/checks/ has the rules`);
  process.exitCode = 1;
}
