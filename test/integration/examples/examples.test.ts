// Every example is taken by a real API server, is valid for `portforward check`, and stands in the README's table.
// Neighbours: test/integration/api/ (the server), test/integration/docs/ (what pages show).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { cachedProgram } from '../../../lab/base/places.ts';
import { command } from '../../../lab/process/command.ts';
import { type Api, startApi } from '../api/api.ts';
import { readPage, root } from '../docs/markdown.ts';

const examples = join(root, 'examples');
const names = readdirSync(examples).toSorted();
/**
 * Configurations of other programs are no objects. Argo CD's have test data, judged by gitops.test.ts and test/cluster/argo-cd.test.ts;
 * each path of kube-state-metrics' is read from a real object by test/cluster/monitoring.test.ts.
 */
const files = globSync('**/*.yaml', { cwd: examples })
  .filter((file) => !file.includes('resource_customizations/') && !file.startsWith('kube-state-metrics/'))
  .toSorted();

interface Document {
  readonly kind: string;
  readonly metadata?: { readonly name: string; readonly namespace?: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

const documentsOf = (file: string): Document[] =>
  parseAllDocuments(readFileSync(join(examples, file), 'utf8')).map((each) => each.toJS() as Document);

/** Files of Kustomize and Argo CD are no objects of a bare API server; what they lead to is. */
const kustomize = files.filter((file) => file.startsWith('kustomize/'));
const applications = files.filter((file) => documentsOf(file).every(({ kind }) => kind === 'Application'));
const plain = files.filter((file) => !kustomize.includes(file) && !applications.includes(file));

/** The API server's word on a document as it stands in the file, or on what Kustomize makes of some. */
const dryRun = (api: Api, text: string): Promise<string> =>
  api.server.kubectl(['apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', '-'], {
    input: text,
  });

function check(...args: string[]): string {
  return execFileSync(process.execPath, [join(root, 'src/main.ts'), 'check', ...args], { encoding: 'utf8' });
}

suite('examples', () => {
  let api: Api;
  before(async () => {
    api = await startApi();
    await api.server.kubectl(['create', 'namespace', 'shop']);
  });
  after(() => api?.[Symbol.asyncDispose]());

  test('each stands in the README’s table, and nothing else does', () => {
    const linked = readPage('README.md')
      .links.map(({ target }) => target)
      .filter((target) => target.startsWith('examples/') && target !== 'examples/');
    const there = names.map((name) => (statSync(join(examples, name)).isDirectory() ? `${name}/` : name));
    assert.deepEqual(linked.toSorted(), there.map((name) => `examples/${name}`).toSorted());
    assert.ok(there.length >= 11);
  });

  for (const file of plain) {
    test(`${file} is accepted by the API server and by check`, async () => {
      const text = readFileSync(join(examples, file), 'utf8');
      assert.match(await dryRun(api, text), /^portforward\.portforward\.dev\/\S+ serverside-applied/m);
      assert.match(check('-f', join(examples, file)), /: shop\/[a-z-]+: valid\n$/);
    });

    test(`${file} begins with what it is, and its clients dial what it makes`, () => {
      const text = readFileSync(join(examples, file), 'utf8');
      assert.match(text, /^# [A-Z]/);
      const [document] = documentsOf(file);
      const ports = document?.spec['ports'] as readonly { readonly port: number }[];
      const name = document?.metadata?.name ?? '';
      for (const [, host = '', port = ''] of text.matchAll(
        /# .*use.*: \w+ (?:-h|--host) ([a-z-]+)\S* (?:-p|--port) (\d+)/g,
      )) {
        assert.equal(host, name);
        assert.ok(
          ports.some((each) => `${each.port}` === port),
          `${file}: ${port}`,
        );
      }
    });
  }

  test('the policies that the comments name are printed for the very documents', () => {
    const named = files.flatMap((file) =>
      [...readFileSync(join(examples, file), 'utf8').matchAll(/^# +portforward (iam -f (\S+).*)$/gm)].map(
        ([, words = '', of = '']) => ({ file, words, of }),
      ),
    );
    assert.equal(named.length, 4);
    for (const { file, words, of } of named) {
      assert.equal(of, basename(file));
      const args = words.split(' ');
      const printed = execFileSync(process.execPath, [join(root, 'src/main.ts'), ...args], {
        cwd: examples,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      assert.ok(Array.isArray((JSON.parse(printed) as { Statement: unknown }).Statement), words);
    }
  });

  test('kubectl kustomize renders the environment, which the API server accepts', async () => {
    const rendered = await command(cachedProgram('kubectl'), ['kustomize', join(examples, 'kustomize/production')]);
    const document = parse(rendered) as Document;
    assert.equal(document.metadata?.namespace, 'shop');
    assert.equal(document.spec['replicas'], 2);
    assert.match(rendered, /bastion-b\.example\.com/);
    assert.doesNotMatch(rendered, /test\.example\.com|test\.internal/, 'the base’s lists are replaced');
    assert.match(await dryRun(api, rendered), /serverside-applied/);
  });

  test('a Secret that Kustomize renames is renamed in the PortForward', async () => {
    const base = await command(cachedProgram('kubectl'), ['kustomize', join(examples, 'kustomize/base')]);
    assert.match(base, /name: orders-bastion/);
    const references = parse(readFileSync(join(examples, 'kustomize/base/name-references.yaml'), 'utf8')) as {
      nameReference: readonly { readonly fieldSpecs: readonly { readonly path: string }[] }[];
    };
    const paths = references.nameReference.flatMap(({ fieldSpecs }) => fieldSpecs.map(({ path }) => path));
    for (const path of paths) {
      // What the API server explains is a field that there is.
      await api.server.kubectl(['explain', `portforward.${path.replaceAll('/', '.')}`]);
    }
  });

  test('an Application’s folder is there, and its values are the chart’s', async () => {
    assert.deepEqual(
      applications.map((file) => basename(file)),
      ['operator.yaml', 'tunnels.yaml'],
    );
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    for (const { spec } of applications.flatMap(documentsOf)) {
      const source = spec['source'] as Source;
      assert.ok(typeof spec['project'] === 'string' && typeof spec['destination'] === 'object');
      if (source.path !== undefined) {
        assert.ok(existsSync(join(root, source.path)), source.path);
        continue;
      }
      assert.equal(source.chart, 'portforward');
      assert.equal(source.targetRevision, version);
      const helm = ['template', 'portforward', join(root, 'helm'), '--kube-version', '1.31.0', '--values', '-'];
      const made = await command(cachedProgram('helm'), helm, { input: stringify(source.helm?.valuesObject) });
      assert.match(made, new RegExp(`image: "registry\\.example\\.com/portforward:${version.replaceAll('.', '\\.')}"`));
    }
  });
});

interface Source {
  readonly path?: string;
  readonly chart?: string;
  readonly targetRevision?: string;
  readonly helm?: { readonly valuesObject?: object };
}
