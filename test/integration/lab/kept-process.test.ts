// Kept processes inside a node's namespaces end with it, also those that somebody had stopped.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { KeptProcesses } from '../../../lab/process/kept-process.ts';
import { parentOf, signalProcess } from '../../../lab/process/proc.ts';

const isStopped = (pid: number): boolean => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

test('a node whose program was stopped together with its nsenter ends at once', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kept-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const kept = new KeptProcesses(directory, directory);
  const node = await kept.start('node', 'unshare', ['--pid', '--fork', '--kill-child=KILL', 'sleep', '600'], {
    led: true,
  });
  const program = await kept.start('program', 'nsenter', ['--target', String(node), '--pid', '--', 'sleep', '600'], {
    led: true,
  });
  const leader = parentOf(program);
  assert.ok(leader !== undefined);
  t.after(() => signalProcess(leader, 'SIGCONT'));
  signalProcess(program, 'SIGSTOP');
  await eventually('nsenter stops with its program', () => isStopped(leader));
  signalProcess(program, 'SIGCONT');
  assert.ok(isStopped(leader), 'nsenter goes on by itself: this test shows nothing');
  await kept.kill('program');
  await kept.kill('node');
  await eventually('nsenter has ended', () => parentOf(leader) === undefined);
});
