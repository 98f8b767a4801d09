// `npm run recording`: runs `npm run demo -- --laptop` and makes the README's picture of it, docs/images/first-look.svg.
// Neighbours: demo.ts (what is run), demo/recording.ts (the picture).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { runScript, WrongCall } from '../lab/process/script.ts';
import { recordingOf, type TimedLine } from './demo/recording.ts';

const root = join(import.meta.dirname, '..');
const picture = join(root, 'docs', 'images', 'first-look.svg');

await runScript(async (signal) => {
  if (process.argv.length > 2) throw new WrongCall('npm run recording takes no words');
  const command = 'npm run demo -- --laptop';
  const started = performance.now();
  const lines: TimedLine[] = [{ text: `$ ${command}`, at: 0 }];
  const child = spawn(process.execPath, [join(root, 'scripts', 'demo.ts'), '--laptop'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  for await (const text of createInterface({ input: child.stdout }))
    lines.push({ text, at: performance.now() - started });
  const [code] = child.exitCode === null ? ((await once(child, 'close')) as [number | null]) : [child.exitCode];
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  mkdirSync(dirname(picture), { recursive: true });
  writeFileSync(picture, recordingOf(lines, `${command}: two bastions, a private database, and psql through both`));
  process.stdout.write(`${picture}: ${lines.length} lines\n`);
});
