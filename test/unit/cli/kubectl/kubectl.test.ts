// Which flags reach kubectl.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
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
