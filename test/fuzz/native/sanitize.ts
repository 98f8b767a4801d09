// `npm run sanitize [files…]`: the suites that run on both paths, on the native one, with AddressSanitizer and UBSan in the engine, in the tests'
// own processes and in the sidecars that they start. The engine's own tests and a part of its fuzzing run so in every `npm test`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onBothPaths } from '../../../scripts/both-paths.ts';
import { sanitizedNode } from './sanitized-addon.ts';

const given = process.argv.slice(2);
const files = given.length > 0 ? given : onBothPaths;
const { program, environment } = await sanitizedNode();
// A test may not notice how a sidecar ended: every report fails the run.
const reports = mkdtempSync(join(tmpdir(), 'portforward-sanitize-'));
const env: NodeJS.ProcessEnv = { ...process.env, ...environment, PF_DATA_PATH: 'native' };
for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS']) env[name] += `:log_path=${join(reports, 'report')}`;
const args = ['--test', '--test-concurrency=1', '--test-timeout=600000', ...files];
const child = spawn(program, args, { stdio: 'inherit', env });
const [code] = (await once(child, 'exit')) as [number | null];
const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'));
for (const report of found) console.error(report);
console.error(`${found.length} reports of AddressSanitizer and UBSan`);
rmSync(reports, { recursive: true });
process.exitCode = found.length > 0 ? 1 : (code ?? 1);
