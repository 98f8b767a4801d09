// `npm run sanitize [files…]`: the suites that run on both paths, on the native one, with AddressSanitizer and UBSan in the engine. Five to
// ten minutes; the engine's own tests and a part of its fuzzing run so in every `npm test`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onBothPaths } from '../../../scripts/both-paths.ts';
import { sanitizedEnvironment } from './sanitized-addon.ts';

const given = process.argv.slice(2);
const files = given.length > 0 ? given : onBothPaths;
const env = { ...process.env, ...(await sanitizedEnvironment()), PF_DATA_PATH: 'native' };
const args = ['--test', '--test-concurrency=1', '--test-timeout=600000', ...files];
const child = spawn(process.execPath, args, { stdio: 'inherit', env });
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? 1;
