// The rules of this repository that no tool of others judges; each is a pure function in checks/.
// Neighbours: check.ts runs this as one step, checks/ has a file for each rule.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, Source } from './checks/finding.ts';
import { lockFindings } from './checks/lock.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string): Source => ({ file, text: readFileSync(join(root, file), 'utf8') });

const findings: Finding[] = lockFindings(read('package-lock.json'));

for (const { file, line, message } of findings) {
  console.log(`${file}${line === undefined ? '' : `:${line}`}: ${message}`);
}
if (findings.length > 0) {
  console.log(`${findings.length} found; the rules are in scripts/checks/`);
  process.exitCode = 1;
}
