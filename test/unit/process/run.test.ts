// A process from start to exit, each in a child process: exit codes, signals and the deadline of stopping.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const prelude = `
  import { run } from '${new URL('../../../src/process/run.ts', import.meta.url).href}';
  import { createLog } from '${new URL('../../../src/process/log.ts', import.meta.url).href}';
  import { sleep } from '${new URL('../../../src/process/clock.ts', import.meta.url).href}';
  const log = createLog();
`;

function start(body: string): {
  child: ChildProcess;
  ended: Promise<{ code: unknown; output: string }>;
  line: Promise<unknown>;
} {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', prelude + body], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.ok(child.stdout);
  const line = once(createInterface({ input: child.stdout }), 'line');
  const output = text(child.stdout);
  const ended = once(child, 'exit').then(async ([code]) => ({ code: code as unknown, output: await output }));
  return { child, ended, line };
}

test('a main that resolves is exit code 0, also with a handle still open', async () => {
  const { ended } = start(`setInterval(() => {}, 1e6); await run(async () => {}, { log });`);
  assert.equal((await ended).code, 0);
});

test('an error of main is logged whole before the process exits with its code', async () => {
  const { code, output } = await start(
    `await run(async () => { throw new Error('no caches'); }, { log, exitCodeOf: () => 7 });`,
  ).ended;
  assert.equal(code, 7);
  assert.match(output, /no caches/);
});

test('SIGTERM, SIGINT and SIGHUP abort the signal, and a main that rejects with its reason has ended cleanly', async () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const { child, line, ended } = start(
      `await run(async (signal) => { log.info('up'); await sleep(60_000, { signal }); }, { log });`,
    );
    await line;
    child.kill(signal);
    assert.equal((await ended).code, 0, signal);
  }
});

test('a SIGTERM that comes while the process still loads its modules is heard', async () => {
  const early = new URL('../../../src/process/early-signals.ts', import.meta.url).href;
  const { code, output } = await start(`
    const { listenEarly } = await import('${early}?bundle=main');
    listenEarly('sidecar');
    process.kill(process.pid, 'SIGTERM');
    await sleep(50);
    await run(async (signal) => { log.info({ aborted: signal.aborted }, 'up'); await sleep(60_000, { signal }); }, { log });
  `).ended;
  assert.equal(code, 0);
  assert.match(output, /"aborted":true/);
});

test('other commands end by SIGTERM as always', async () => {
  const early = new URL('../../../src/process/early-signals.ts', import.meta.url).href;
  const { child, ended } = start(`
    const { listenEarly } = await import('${early}');
    listenEarly('check');
    process.kill(process.pid, 'SIGTERM');
    await sleep(60_000);
  `);
  await ended;
  assert.equal(child.signalCode, 'SIGTERM');
});

test('a main that fails while it stops is still an error', async () => {
  const { child, line, ended } = start(
    `await run(async (signal) => { log.info('up'); await sleep(60_000, { signal }).catch(() => { throw new Error('drain failed'); }); }, { log });`,
  );
  await line;
  child.kill('SIGTERM');
  const { code, output } = await ended;
  assert.equal(code, 1);
  assert.match(output, /drain failed/);
});

test('a second signal exits at once with 128 and its number', async () => {
  const { child, ended } = start(
    `await run(async (signal) => { signal.addEventListener('abort', () => { log.info('draining'); log.flush(); }); log.info('up'); log.flush(); await sleep(60_000); }, { log });`,
  );
  assert.ok(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes('"up"')) child.kill('SIGTERM');
    if (line.includes('draining')) child.kill('SIGINT');
  }
  assert.equal((await ended).code, 130);
});

test('a main that ignores the signal is ended at the deadline', async () => {
  const { child, line, ended } = start(
    `await run(async () => { log.info('up'); await sleep(60_000); }, { log, stopDeadlineMs: 50 });`,
  );
  await line;
  child.kill('SIGTERM');
  const { code, output } = await ended;
  assert.equal(code, 1);
  assert.match(output, /did not stop in time/);
});

test('an unhandled rejection and an uncaught exception are logged and end the process with 1', async () => {
  const bodies = [
    `void Promise.reject(new Error('lost promise'));`,
    `setTimeout(() => { throw new Error('lost promise'); }, 1);`,
  ];
  for (const body of bodies) {
    const { code, output } = await start(`${body} await run((signal) => sleep(60_000, { signal }), { log });`).ended;
    assert.equal(code, 1);
    assert.match(output, /lost promise/);
  }
});
