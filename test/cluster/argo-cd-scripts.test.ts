// The health and action scripts for Argo CD, judged by Argo CD's own test code with the test data beside them: what its repository would
// run if they were part of it.
// Neighbours: argo-cd.test.ts uses them in a real Argo CD; test/integration/docs/gitops.test.ts judges the page's copy.
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test } from 'node:test';
import { cacheDirectory } from '../../lab/base/places.ts';
import { command } from '../../lab/process/command.ts';
import { withLock } from '../../lab/process/lock.ts';
import { findGo } from '../../lab/programs/go.ts';
import { argoCdSources } from '../support/argo-cd/program.ts';

const ours = join(import.meta.dirname, '../../examples/argo-cd/resource_customizations');

suite('the scripts for Argo CD', () => {
  test('pass its own tests of health and actions, each with a result for every row of test data', async () => {
    const sources = await argoCdSources();
    // The same path each time, so that Go compiles it once.
    const copy = join(cacheDirectory(), basename(sources).replace('@', '-argo-cd-'));
    const output = await withLock(`${copy}.lock`, async () => {
      if (!existsSync(copy)) copySources(sources, copy);
      const customizations = join(copy, 'resource_customizations');
      rmSync(customizations, { recursive: true, force: true });
      cpSync(ours, customizations, { recursive: true });
      cpSync(join(sources, 'resource_customizations/embed.go'), join(customizations, 'embed.go'));
      normalizeReconnect(sources, copy);
      const go = await findGo((line) => void process.stderr.write(`${line}\n`));
      const run = ['test', '-count=1', '-v', '-run', '^TestLua(HealthScript|ResourceActionsScript)$', './util/lua'];
      return command(go.program, run, { cwd: copy, env: go.env, timeoutMs: 25 * 60_000 });
    });
    const passed = [...output.matchAll(/^\s+--- PASS: (\S+)/gm)].map(([, name]) => name ?? '');
    const health = readdirSync(join(ours, 'portforward.dev/PortForward/testdata'));
    for (const file of health)
      assert.ok(
        passed.some((name) => name.endsWith(file)),
        `${file} was judged:\n${output}`,
      );
    const actions = passed.filter((name) => /Actions/.test(name)).map((name) => name.split('/').slice(1).join('/'));
    assert.deepEqual(actions.toSorted(), [
      'actions/reconnect/testdata/running.yaml',
      'actions/resume/testdata/suspended.yaml',
      'actions/suspend/testdata/running.yaml',
      'discovery/testdata/running.yaml',
      'discovery/testdata/suspended.yaml',
    ]);
  });
});

function copySources(sources: string, copy: string): void {
  const unfinished = `${copy}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  const unused = new Set(['docs', 'manifests', 'resource_customizations', 'ui', 'ui-test']);
  for (const name of readdirSync(sources)) {
    if (!unused.has(name)) cpSync(join(sources, name), join(unfinished, name), { recursive: true });
  }
  makeWritable(unfinished);
  renameSync(unfinished, copy);
}

/** Go's cache of modules is read-only, and so is a copy of it. */
function makeWritable(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) makeWritable(path);
    else if (entry.isFile()) chmodSync(path, statSync(path).mode | 0o200);
  }
}

/** An action's time differs in every run: its test code lists, by kind, which fields are such times. */
function normalizeReconnect(sources: string, copy: string): void {
  const path = 'util/lua/custom_actions_test.go';
  const kinds = '\tswitch un.GetKind() {\n\tcase "Job":';
  const code = readFileSync(join(sources, path), 'utf8');
  assert.ok(code.includes(kinds), 'the test code has another form than that of the pinned version');
  const time = '"portforward.dev/reconnectAt": "0001-01-01T00:00:00Z"';
  const fields = '"metadata", "annotations"';
  const ourCase = [
    '\tswitch un.GetKind() {',
    '\tcase "PortForward":',
    `\t\tif _, set, _ := unstructured.NestedString(un.Object, ${fields}, "portforward.dev/reconnectAt"); set {`,
    `\t\t\treturn unstructured.SetNestedStringMap(un.Object, map[string]string{${time}}, ${fields})`,
    '\t\t}',
    '\tcase "Job":',
  ].join('\n');
  writeFileSync(join(copy, path), code.replace(kinds, ourCase));
}
