// How scripts end: a sentence and an exit code, no stack trace for what was foreseen, and on a signal only after they have cleaned up.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..', '..');
const lab = (file: string): string => JSON.stringify(join(root, 'lab', file));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs it with a closed standard input, as a CI system may; `onOutput` sees each piece of what it prints. */
async function ended(
  args: readonly string[],
  onOutput: (text: string, pid: number) => void = () => {},
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn('sh', ['-c', 'exec "$0" "$@" <&-', process.execPath, ...args], {
    cwd: root,
    env: { ...process.env, CI: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      onOutput(text, child.pid ?? 0);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const script = (body: string): string[] => [
  '--input-type=module-typescript',
  '--eval',
  `import { runScript, WrongCall } from ${lab('process/script.ts')};
   import { command } from ${lab('process/command.ts')};
   import { consents } from ${lab('base/consent.ts')};
   await runScript(async (signal) => { ${body} });`,
];

test('without a terminal the call is the consent, and what it covers is listed', async () => {
  const body = `
    const log = (line) => console.log(line);
    console.log(await consents('This changes:', ['packages (they stay)'], { log, signal }));`;
  assert.deepEqual(await ended(script(body)), { code: 0, output: 'This changes:\n  - packages (they stay)\ntrue\n' });
});

test('what was foreseen ends with its sentence, and what to do', async () => {
  const wrong = await ended(script(`throw new WrongCall('there is no such tier');`));
  assert.deepEqual(wrong, { code: 2, output: 'there is no such tier\n' });
  const cases: readonly (readonly [body: string, pattern: RegExp])[] = [
    [`await command('no-such-program', []);`, /^cannot start no-such-program\nA program is missing: install it/],
    [`await command('sh', ['-c', 'echo No space left on device >&2; exit 1']);`, /\nThe disk is full: free some space/],
    [
      `await command('sh', ['-c', 'echo dial tcp: lookup x: no such host >&2; exit 1']);`,
      /\nThe network does not answer/,
    ],
    [`throw new Error('EACCES: permission denied, mkdir /x');`, /\nThis user may not do that: call it as root/],
    [`throw new Error('listen EADDRINUSE: address already in use 127.0.0.1:1');`, /\nAnother program has that port/],
  ];
  for (const [body, pattern] of cases) {
    const { code, output } = await ended(script(body));
    assert.equal(code, 1, output);
    assert.match(output, pattern);
    assert.doesNotMatch(output, /^\s+at /m);
  }
});

test('a fault of the script itself shows where it is', async () => {
  const { code, output } = await ended(script('undefined.x;'));
  assert.equal(code, 1);
  assert.match(output, /TypeError: .*\n\s+at /);
});

test('a signal, twice, ends it after it has cleaned up', async () => {
  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const body = `
      const forever = setInterval(() => {}, 60_000);
      console.log('begun');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      clearInterval(forever);
      console.log('cleaned');`;
    const { code, output } = await ended(script(body), (text, pid) => {
      if (!text.includes('begun')) return;
      process.kill(pid, signal);
      process.kill(pid, signal);
    });
    assert.equal(code, expected, output);
    assert.match(output, /^cleaned$/m);
    assert.equal(output.split(`${signal}: cleaning up`).length, 2, output);
  }
});

test('demo, tests and cluster refuse what they do not know with exit code 2, and say what there is', async () => {
  const calls: readonly (readonly [args: readonly string[], pattern: RegExp])[] = [
    [['scripts/demo.ts', '--labtop'], /the demo does not know --labtop\n.*--laptop/],
    [['scripts/test.ts', 'unitt'], /no tier is called unitt; there are check, unit, integration, cluster, faults/],
    [['scripts/test.ts', '--fast'], /npm test does not know --fast/],
    [['lab/cluster/cli.ts', '--instance', '7', 'up'], /a number from 0 to 2/],
    [['lab/cluster/cli.ts', 'upp'], /unknown command 'upp'/],
  ];
  await Promise.all(
    calls.map(async ([args, pattern]) => {
      const { code, output } = await ended(args);
      assert.equal(code, 2, output);
      assert.match(output, pattern);
      assert.doesNotMatch(output, /^\s+at /m);
    }),
  );
});

test('a cluster that cannot be made here is refused with a sentence and exit code 1', async () => {
  const { code, output } = await ended(['lab/cluster/cli.ts', 'up'], undefined, { PF_CLUSTER: 'minikube' });
  assert.deepEqual({ code, output }, { code: 1, output: 'PF_CLUSTER is host or kind, not minikube\n' });
});
