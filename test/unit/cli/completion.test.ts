import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Argument, Command, Option } from 'commander';
import { candidates, completionScript, shells } from '../../../src/cli/completion.ts';

const program = (): Command => {
  const main = new Command('portforward').option('-n, --namespace <name>');
  main
    .command('status [name]')
    .option('-w, --watch')
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']))
    .addOption(new Option('--as <user>').hideHelp());
  main.command('start').addArgument(new Argument('<shell>').choices(['bash', 'zsh']));
  main.command('internal', { hidden: true });
  return main;
};

const names = (): Promise<readonly string[]> => Promise.resolve(['orders-db', 'stock-db']);

test('commands, options, values and names are candidates where they may stand', async () => {
  const cases: readonly (readonly [words: string[], candidates: string[]])[] = [
    [[''], ['status', 'start', 'help']],
    [['st'], ['status', 'start']],
    [
      ['status', '--'],
      ['--watch', '--output', '--namespace', '--help'],
    ],
    [['status', '--o'], ['--output']],
    [
      ['status', '-o', ''],
      ['table', 'json'],
    ],
    [['status', '--output', 'j'], ['json']],
    [
      ['status', ''],
      ['orders-db', 'stock-db'],
    ],
    [['status', '-w', 's'], ['stock-db']],
    [['status', 'orders-db', ''], []],
    [['-n', 'shop', 'status', 'o'], ['orders-db']],
    [['-n', ''], []],
    [
      ['start', ''],
      ['bash', 'zsh'],
    ],
    [['start', '--', ''], []],
  ];
  for (const [words, expected] of cases) {
    assert.deepEqual(await candidates(program(), words, names), expected, JSON.stringify(words));
  }
  assert.deepEqual(await candidates(program(), ['status', '']), [], 'nobody knows the names');
});

test('names are asked for where the line so far says', async () => {
  let asked: readonly string[] = [];
  const ask = (given: readonly string[]): Promise<readonly string[]> => {
    asked = given;
    return Promise.resolve([]);
  };
  await candidates(program(), ['status', '-n', 'shop', '--as=ada', ''], ask);
  assert.deepEqual(asked, ['--namespace=shop', '--as=ada']);
});

test('each shell has a script, and no other', () => {
  for (const shell of shells) assert.match(completionScript(shell), /portforward __complete/);
  assert.throws(() => completionScript('tcsh'), /tcsh: there is completion for bash, zsh, fish/);
});
