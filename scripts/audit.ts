// `npm run audit [-- --registry URL]`: asks npm's registry for known vulnerabilities of every locked package. Exit code 0: none, 1: some,
// 3: nobody answered, so nothing is known. A command of its own, because its answer changes without a change of ours.
// Neighbours: package-lock.json (what is asked about), check.ts (what needs no network).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { registry: { type: 'string' } } });

interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity?: string; readonly range?: string }>>;
  readonly error?: { readonly summary?: string };
  readonly message?: string;
}

const { stdout, stderr, error } = spawnSync(
  'npm',
  ['audit', '--json', '--package-lock-only', ...(values.registry === undefined ? [] : ['--registry', values.registry])],
  {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    timeout: 120_000,
    env: { ...process.env, npm_config_fetch_retries: '1', npm_config_update_notifier: 'false' },
  },
);
process.exitCode = told(reportIn(stdout), error?.message ?? stderr);

/** What npm printed as JSON; undefined if it printed none. */
function reportIn(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}

/** Prints what the report means and returns the exit code. Only a list, even an empty one, is an answer. */
function told(report: Report | undefined, otherwise: string): number {
  if (report?.vulnerabilities === undefined) {
    const [reason = ''] = (report?.message ?? report?.error?.summary ?? otherwise).trim().split('\n');
    console.error(`The registry did not answer, so nothing is known about the dependencies: ${reason}`);
    console.error('Ask again later, or another registry: npm run audit -- --registry URL');
    return 3;
  }
  const found = Object.entries(report.vulnerabilities);
  for (const [name, { severity, range }] of found) console.log(`${severity ?? 'unknown'}: ${name} ${range ?? ''}`);
  console.log(found.length === 0 ? 'no known vulnerability' : `${found.length} packages with known vulnerabilities`);
  return found.length === 0 ? 0 : 1;
}
