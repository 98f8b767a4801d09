// The API server alone: it starts quickly, keeps its data over a restart, and ends with the process that started it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { startApiServer } from '../../lab/cluster/api-server.ts';
import { descendantsOf, startedAt } from '../../lab/process/proc.ts';

test('an API server without nodes is ready in seconds, keeps its data over a restart, and leaves nothing', async (t) => {
  const before = descendantsOf(process.pid);
  const started = performance.now();
  const server = await startApiServer();
  t.after(() => server.stop());
  t.diagnostic(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  await server.kubectl(['create', 'namespace', 'kept']);
  assert.equal(await server.kubectl(['auth', 'can-i', '*', '*']), 'yes\n');

  await server.restart();
  assert.match(await server.kubectl(['get', 'namespace', 'kept', '--output', 'name']), /kept/);

  server.pause();
  await assert.rejects(server.kubectl(['get', 'namespaces', '--request-timeout=1s']), /timeout|deadline/i);
  server.resume();
  await server.kubectl(['get', 'namespaces']);

  await server.stop();
  await server.stop();
  assert.equal(existsSync(dirname(server.kubeconfig)), false);
  assert.deepEqual(descendantsOf(process.pid), before);
});

test('two API servers run side by side', async (t) => {
  const servers = await Promise.all([startApiServer(), startApiServer()]);
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  const [one, other] = servers;
  assert.notEqual(one.url, other.url);
  await one.kubectl(['create', 'namespace', 'of-one']);
  assert.doesNotMatch(await other.kubectl(['get', 'namespaces', '--output', 'name']), /of-one/);
});

test('a server whose test was killed is ended by the kernel', async () => {
  const module = join(import.meta.dirname, '../../lab/process/child.ts');
  const script = `import { Child } from ${JSON.stringify(module)};
    const child = new Child('sleeper', 'sleep', ['600']);
    console.log(child.pid);`;
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(owner.stdout), 'line')) as [string];
  const pid = Number(line);
  // Wait until the child has become the program: only then has it asked the kernel to end it with its parent.
  await eventually('it is the program', () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');
  owner.kill('SIGKILL');
  await eventually('the server is gone with its owner', () => startedAt(pid) === undefined);
});
