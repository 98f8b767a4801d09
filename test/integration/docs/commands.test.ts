// Commands that a page names exist, with the options that it names: of `portforward`, of npm's scripts, of the chart's values, and of
// the script behind `npm run manifests`. What a cluster must answer is run by test/cluster/docs.test.ts.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { parse } from 'yaml';
import { allPages, commandsOf, isShell, type Link, root } from './markdown.ts';

const pages = allPages();

/** Every command of a shell block, every console prompt and everything between backticks, with its place. */
const commands: readonly Link[] = pages.flatMap(({ words, blocks }) => [
  ...words,
  ...blocks.flatMap((block) => {
    const { page, line, language, text } = block;
    if (isShell(block)) return commandsOf(block).map((target) => ({ page, line, target }));
    // An untagged block may list commands with an explanation beside each.
    if (language !== '' && language !== 'console') return [];
    return text.split('\n').map((each, index) => ({ page, line: line + index + 1, target: each.replace(/^\$ /, '') }));
  }),
]);

const beginningWith = (pattern: RegExp): readonly Link[] => commands.filter(({ target }) => pattern.test(target));

const help = (...args: string[]): string =>
  execFileSync(process.execPath, [join(root, 'src/main.ts'), ...args], { encoding: 'utf8', timeout: 60_000 });

const optionsIn = (text: string): string[] => text.match(/(?<![\w-])--?[a-z][a-z-]*/g) ?? [];

suite('commands', () => {
  test('portforward has the subcommands and options that pages name', () => {
    const known = new Map(
      ['open', 'check', 'iam', 'doctor', 'from', 'completion', 'controller', 'version'].map((name) => [
        name,
        new Set(optionsIn(help(...(name === 'controller' ? [name, '--help'] : ['help', name])))),
      ]),
    );
    const named = beginningWith(/^portforward [a-z]/).filter(({ target }) => !target.startsWith('portforward help'));
    assert.ok(named.length >= 5, `only ${named.length} commands were found`);
    const wrong = named.filter(({ target }) => {
      const [, subcommand = ''] = target.split(/\s+/);
      if (subcommand === 'sidecar') return false;
      const options = known.get(subcommand);
      // Behind -- are the words of another program.
      const own = target.replace(/ -- .*/, '');
      return options === undefined || optionsIn(own).some((option) => option !== '--help' && !options.has(option));
    });
    assert.deepEqual(wrong, []);
  });

  test('an option that laptop.md names alone is one of open, check or from', () => {
    const known = new Set(optionsIn(['open', 'check', 'from'].map((name) => help('help', name)).join('')));
    const named = commands.filter(({ page, target }) => page === 'docs/laptop.md' && target.startsWith('--'));
    assert.ok(named.length >= 7, `only ${named.length} options were found`);
    assert.deepEqual(
      named.filter(({ target }) => optionsIn(target).some((option) => !known.has(option))),
      [],
    );
  });

  test('npm has the scripts that pages name', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const named = beginningWith(/^npm (run|test)\b/);
    assert.ok(named.length >= 10, `only ${named.length} commands were found`);
    const script = (target: string): string =>
      target.startsWith('npm test') ? 'test' : (/^npm run (?:--silent |-s )?([\w:-]+)/.exec(target)?.[1] ?? target);
    assert.deepEqual(
      named.filter(({ target }) => scripts[script(target)] === undefined),
      [],
    );
  });

  test('npm run cluster and npm run build:image have the words and options that pages name', () => {
    const cluster = readFileSync(join(root, 'lab/cluster/cli.ts'), 'utf8');
    for (const { page, line, target } of beginningWith(/^npm run cluster -- [a-z]/)) {
      const [, word = ''] = /^npm run cluster -- (\w+)/.exec(target) ?? [];
      assert.ok(cluster.includes(`.command('${word}')`), `${page}:${line}: ${target}`);
    }
    const image = readFileSync(join(root, 'scripts/build-image.ts'), 'utf8');
    for (const { page, line, target } of beginningWith(/^npm run build:image -- /)) {
      for (const option of optionsIn(target.split(' -- ')[1] ?? '')) {
        assert.ok(image.includes(`${option.slice(2)}: {`), `${page}:${line}: ${target}`);
      }
    }
  });

  test('the chart has the values that pages name', () => {
    const values = parse(readFileSync(join(root, 'helm/values.yaml'), 'utf8')) as Record<string, unknown>;
    const has = (path: string): boolean => {
      let at: unknown = values;
      for (const key of path.split('.')) {
        if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false;
        at = (at as Record<string, unknown>)[key];
      }
      return true;
    };
    const set = commands.flatMap((at) =>
      [...at.target.matchAll(/--set '?([\w.]+)=/g)].map(([, path = '']) => ({ ...at, path })),
    );
    // A word with a dot whose beginning is one of the chart's groups, or any value that install.md names.
    const groups = new Set(Object.keys(values).filter((key) => typeof values[key] === 'object'));
    const named = commands
      .filter(({ page, target }) => {
        if (page === 'docs/errors.md' || !/^[a-z]\w*(\.\w+)+$/.test(target)) return false;
        return groups.has(target.split('.')[0] ?? '') && !target.startsWith('serviceAccount.');
      })
      .map((at) => ({ ...at, path: at.target }));
    assert.ok(set.length >= 3 && named.length >= 5, `only ${set.length} and ${named.length} values were found`);
    assert.deepEqual(
      [...set, ...named].filter(({ path }) => !has(path)),
      [],
    );
  });
});
