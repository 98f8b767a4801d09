// Which flags reach kubectl, and that none outlives us.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import { eventually } from '../../../../lab/base/eventually.ts';
import { Child } from '../../../../lab/process/child.ts';
import { addKubectlFlags, kubectlFlagsOf } from '../../../../src/cli/kubectl/kubectl.ts';
import { tunnelName } from '../../../../src/cli/kubectl/plugin-command.ts';

function flagsOf(words: string): readonly string[] {
  let flags: readonly string[] = [];
  const program = addKubectlFlags(new Command('kubectl portforward').exitOverride());
  addKubectlFlags(program.command('status [name]')).action((_name: string, _flags: unknown, used: Command) => {
    flags = kubectlFlagsOf(used);
  });
  program.parse(words.split(' '), { from: 'user' });
  return flags;
}

test('kubectl gets the flags that the person gave, before or after the name of the command', () => {
  assert.deepEqual(flagsOf('status'), []);
  assert.deepEqual(flagsOf('status orders-db -n shop --context=prod'), ['--namespace=shop', '--context=prod']);
  assert.deepEqual(flagsOf('-n shop status --as=ada --as-group=a --as-group b'), [
    '--namespace=shop',
    '--as=ada',
    '--as-group=a',
    '--as-group=b',
  ]);
  assert.deepEqual(flagsOf('status --insecure-skip-tls-verify -s https://cluster.example.com'), [
    '--server=https://cluster.example.com',
    '--insecure-skip-tls-verify',
  ]);
  // A value may look like another flag; as one word nobody takes it for one.
  assert.deepEqual(flagsOf('status --kubeconfig=--context=x'), ['--kubeconfig=--context=x']);
});

test('a tunnel is named as kubectl get names it', () => {
  for (const word of ['orders-db', 'pf/orders-db', 'portforward/orders-db', 'portforwards.portforward.dev/orders-db'])
    assert.equal(tunnelName(word), 'orders-db');
  for (const word of ['--all', 'shop/orders-db', 'Orders', 'a b', '', 'pod/x'])
    assert.throws(() => tunnelName(word), /a tunnel is named as in kubectl get pf/);
});

for (const how of ['is disposed of', 'SIGKILL'] as const) {
  test(`a kubectl that goes on ends with its owner: ${how}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portforward-kubectl-'));
    const pidFile = join(folder, 'pid');
    try {
      const fake = `#!/bin/sh\necho $$ > ${pidFile}.new\nmv ${pidFile}.new ${pidFile}\necho "$*"\nexec sleep 600\n`;
      writeFileSync(join(folder, 'kubectl'), fake, { mode: 0o755 });
      const module = join(import.meta.dirname, '../../../../src/cli/kubectl/kubectl.ts');
      const script = `
        import { Kubectl } from ${JSON.stringify(module)};
        const bound = new Kubectl(['--context=a b']).startWhileWeLive(['port-forward', 'pod/x', ':9808']);
        bound.output.once('data', (line) => {
          console.log('said ' + line);
          if (${how === 'is disposed of'}) bound[Symbol.dispose]();
        });`;
      const env = { PATH: [folder, process.env['PATH']].join(delimiter) };
      const owner = new Child('owner', process.execPath, ['--input-type=module', '-e', script], { env });
      try {
        await owner.line(/^said port-forward --context=a b pod\/x :9808$/);
        const { pid } = { pid: Number(readFileSync(pidFile, 'utf8')) };
        if (how === 'SIGKILL') owner.signal('SIGKILL');
        await eventually('kubectl has ended', () => !existsSync(`/proc/${pid}`));
      } finally {
        await owner.kill();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
