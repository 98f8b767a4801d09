// Completion in the real shells: each reads our script, and is asked what stands behind a line.
// Neighbour: test/unit/cli/completion.test.ts.
import assert from 'node:assert/strict';
import { delimiter, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { command } from '../../../lab/process/command.ts';
import { Folder } from './laptop.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

suite('completion', () => {
  let folder: Folder;
  before(() => {
    folder = new Folder();
    folder.executable('portforward', `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
    folder.write('documents/orders.yaml', '');
  });
  after(() => folder[Symbol.dispose]());

  const run = (program: string, ...args: readonly string[]): Promise<string> => {
    const env = { PATH: [folder.path, process.env['PATH'] ?? ''].join(delimiter), HOME: folder.path, TERM: 'dumb' };
    return command(program, args, { env, cwd: folder.path, timeoutMs: 60_000 });
  };

  /** What bash puts into COMPREPLY for these words; the last is being typed. */
  const bash = (...words: readonly string[]): Promise<string> => {
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `source <(portforward completion bash)
COMP_WORDS=(portforward ${list}); COMP_CWORD=${words.length}
$(complete -p portforward | sed -E 's/.*-F ([^ ]+).*/\\1/')
printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run('bash', '--norc', '-c', script);
  };

  test('bash', async () => {
    assert.match(await bash('o'), /^open$/m);
    assert.match(await bash('open', '--allow'), /^--allow-insecure-host-keys$/m);
    assert.equal(await bash('check', '--output', ''), 'text\njson\n');
    assert.equal((await bash('open', '-f', '')).trim(), '', 'file names are bash’s own');
    assert.equal(await bash('completion', 'z'), 'zsh\n');
  });

  test('fish', async () => {
    const script =
      'portforward completion fish | source; complete -C "portforward com"; complete -C "portforward check -o "';
    const found = await run('fish', '--no-config', '-c', script);
    assert.match(found, /^completion\b/m);
    assert.match(found, /^json\b/m);
  });

  test('zsh', async () => {
    // compadd is replaced: outside of a line editor it refuses to be called.
    const script = `autoload -Uz compinit; compinit -u -D
source <(portforward completion zsh)
compadd() { shift; print -l -- "\${(@P)1}"; }
words=(portforward com); CURRENT=2; _portforward
words=(portforward check --output ''); CURRENT=4; _portforward`;
    const found = await run('zsh', '-f', '-c', script);
    assert.deepEqual(found.trim().split('\n'), ['completion', 'text', 'json']);
  });
});
