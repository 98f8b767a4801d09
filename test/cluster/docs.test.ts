// The pages work as written: every shell block and every kubectl command in a sentence is run, in order, against the installed operator,
// a real bastion and a private database. What cannot run has a row with its reason in `notRun`; a new command is run without further ado.
// Neighbours: test/integration/docs/ (links, documents, options), main-job.test.ts (the same world).
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parseAllDocuments, stringify } from 'yaml';
import { eventually } from '../../lab/base/eventually.ts';
import { cachedProgram } from '../../lab/base/places.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { CommandFailed, command } from '../../lab/process/command.ts';
import { freePort } from '../../lab/process/ports.ts';
import { allPages, type Block, commandsOf, isShell, readPage, root } from '../integration/docs/markdown.ts';

const namespace = 'docs-shop';
/** Releases that pages install, by the namespace of each. */
const releases = [
  { name: 'portforward', namespace: 'docs-readme' },
  { name: 'portforward', namespace: 'docs-install' },
  { name: 'docs-team', namespace: 'docs-team' },
] as const;

/** Pages that are generated, measured by their own commands, about this very cluster, or no instructions. */
const elsewhere = /^helm\/|^docs\/(errors|benchmarks)\.md$|^docs\/(reference|development|decisions)\//;
/** A page may use what the page before it created; all other pages follow in any order. */
const first = ['docs/secrets.md', 'README.md', 'docs/runbooks.md'];
const rest = allPages()
  .map(({ path }) => path)
  .filter((path) => !first.includes(path) && !elsewhere.test(path));

/** Commands that are not run here, each with its reason. */
const notRun: readonly (readonly [RegExp, string])[] = [
  [/^npm run demo$/, 'it makes a namespace shop of its own and is for eyes; main-job.test.ts is the same story'],
  [/^npm run demo -- --laptop$/, 'test/integration/lab/laptop-look.test.ts runs it'],
  [/^npm test$/, 'it would run itself'],
  [
    /^npm run build:image /,
    'it compiles in a container with a network; operator.ts builds the Dockerfile’s stage prebuilt, which takes the bundle of the same sources',
  ],
  [/^helm install y$/, 'a line of the changelog about a name; chart.test.ts renders it'],
  [/^kubectl portforward$/, 'a name of the whole; its commands are run'],
  [/^docker push /, 'it needs a registry of the reader’s'],
  [
    /^(sha256sum|install|npm install|mkdir image) /,
    'it takes files of a release; test/integration/release/ checks and installs those of a folder that it makes',
  ],
  [
    /^(skopeo|oras|helm push) ?/,
    'it needs a registry; test/integration/release/ runs those of skopeo and Helm with one of its own, oras and crane are not here',
  ],
  [
    /^helm install portforward oci:/,
    'it needs a registry of the reader’s; release.test.ts installs the chart of a release, test/integration/release/ pulls it from a registry',
  ],
  [
    /^portforward from /,
    'it reads the configuration of the person; test/integration/cli/from/ runs it on a home of its own',
  ],
  [/^portforward open /, 'it runs until Ctrl-C; test/integration/cli/ runs it against a real bastion'],
  [
    /^portforward doctor /,
    'it reaches for a bastion of the reader’s; test/integration/cli/ runs it against a real one',
  ],
  [
    /^kubectl krew /,
    'it downloads from where a release is published; test/integration/release/ installs by the manifest',
  ],
  [/^kubectl portforward open /, 'it runs until Ctrl-C; test/integration/cli/kubectl/ runs it against a real bastion'],
  [/^aws /, 'it changes an AWS account; what the first of them take is made and read back below'],
  [
    /^kubectl apply --server-side -f portforward\.yaml$/,
    'it would take objects over from Helm; run below as a dry run',
  ],
  [/^kubectl delete crd /, 'it would delete the tunnels of other tests; the kept definition is asserted below'],
];

let cluster: Cluster;
let network: PrivateNetwork;
let shop: Shop;
let folder: string;
let image: string;
let statuszPort: number;
const excluded = new Set<RegExp>();
/** Commands in sentences of the pages before: many runbooks name the same one, and it is run once. */
const named = new Set<string>();

/** The example names of the pages, and what stands for them in this test. */
function here(text: string): string {
  const [repository = '', tag = ''] = image.split(/:(?=[^:/]+$)/);
  const chart = `--set image.tag=${tag} --set image.pullPolicy=Never --set replicaCount=1 --set crds.enabled=false`;
  const { a, b } = network.bastions;
  return (
    text
      .replaceAll(/-n shop\b/g, `-n ${namespace}`)
      .replaceAll(/image\.repository=\S+/g, `image.repository=${repository} ${chart}`)
      .replaceAll('image.tag=0.1.0', `image.tag=${tag}`)
      .replaceAll('portforward-team-a', 'docs-team')
      // That file exists only if npm fetched this very Node.
      .replaceAll('node_modules/node/bin/node', process.execPath)
      .replaceAll('"$POD" 9808', `"$POD" ${statuszPort}:9808`)
      .replaceAll('127.0.0.1:9808', `127.0.0.1:${statuszPort}`)
      // This machine does not use the cluster's DNS.
      .replaceAll(/^(ssh-keyscan .*)bastion-a\.example\.com/g, `$1${a.address}`)
      .replaceAll('bastion-a.example.com', a.name)
      .replaceAll('bastion-b.example.com', b.name)
  );
}

/** A page's install runs beside the operator that all tests use, so it gets a class and a namespace of its own. */
function inOwnInstall(page: string, text: string): string {
  const namespaces: Readonly<Record<string, string>> = {
    'README.md': 'docs-readme',
    'docs/install.md': 'docs-install',
  };
  const own = namespaces[page];
  if (own === undefined) return text;
  return text
    .replaceAll('--create-namespace', text.includes('className') ? '$&' : `$& --set className=${own}`)
    .replaceAll(/spec\.className=(?!\S)/g, `$&${own}`)
    .replaceAll(/(--namespace|-n) portforward-system/g, `$1 ${own}`);
}

async function script(text: string): Promise<string> {
  // Ends what a failed block left in the background.
  return command('bash', ['-euo', 'pipefail', '-c', `trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n${text}`], {
    cwd: folder,
    timeoutMs: 300_000,
    env: {
      KUBECONFIG: join(folder, 'kubeconfig'),
      HELM_CACHE_HOME: join(folder, '.helm'),
      PATH: [join(folder, 'bin'), dirname(cachedProgram('kubectl')), process.env['PATH'] ?? ''].join(delimiter),
    },
  });
}

/** Without the commands of `notRun`. */
function runnable(commands: readonly string[]): readonly string[] {
  return commands.filter((text) => {
    const row = notRun.find(([pattern]) => pattern.test(text));
    if (row !== undefined) excluded.add(row[0]);
    return row === undefined;
  });
}

/** A block is one script, so that a variable of one line serves the next. */
async function runBlock(block: Block): Promise<void> {
  const text = runnable(commandsOf(block))
    .map((each) => inOwnInstall(block.page, here(each)))
    .join('\n');
  if (text === '') return;
  try {
    await script(text);
  } catch (error) {
    throw new Error(`${block.page}:${block.line}: ${String(error)}`, { cause: error });
  }
}

suite('pages', () => {
  before(async () => {
    cluster = await ensureCluster();
    ({ image } = await ensureOperator(cluster));
    await cluster.clientImage();
    network = await startPrivateNetwork();
    for (const { name, address } of Object.values(network.bastions)) await cluster.registerHostDns(name, [address]);
    statuszPort = await freePort();
    folder = mkdtempSync(join(tmpdir(), 'portforward-docs-'));
    shop = await Shop.create(cluster, namespace);
    await shop.client();
    await fillFolder();
    await removeReleases();
    // These belong to the class of install.md's install: they go with it, those of other installs stay.
    await shop.portForward('of-install', {
      ...firstDocument('README.md').spec,
      className: 'docs-install',
      suspend: true,
    });
  });
  after(async () => {
    if (folder !== undefined) await removeReleases();
    await shop?.delete();
    await network?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  test('the PortForward of the README waits for the Secret that secrets.md makes, and becomes Ready', async () => {
    await shop.kubectl(['apply', '--filename', join(folder, 'orders-db.yaml')]);
    const create = readPage('docs/secrets.md').blocks.find(({ text }) => text.includes('create secret'));
    assert.ok(create);
    await runBlock(create);
    await shop.ready('orders-db');
  });

  test('kubectl prints what the README shows', async () => {
    await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=60s']);
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'portforward/orders-db', '--timeout=60s']);
    // If the first bastion was slow, the second is used, and after a minute the first.
    const via = `--for=jsonpath={.status.via}=${network.bastions.a.name}:22`;
    await shop.kubectl(['wait', via, 'portforward/orders-db', '--timeout=180s']);
    const [prompt = '', header = '', row = ''] = here(consoleOf('kubectl')).split('\n');
    const seen = (await script(prompt.replace(/^\$ /, ''))).trim().split('\n');
    const withoutAge = (line: string): string[] => line.trim().split(/\s+/).slice(0, -1);
    assert.deepEqual(seen[0]?.split(/\s+/), header.split(/\s+/));
    assert.deepEqual(
      withoutAge(seen.find((line) => line.startsWith('orders-db ')) ?? ''),
      withoutAge(row.replace('orders-db.shop.svc', `orders-db.${namespace}.svc`)),
    );
  });

  test('psql prints what the README shows while the database is down', async () => {
    const [, ...lines] = here(consoleOf('psql')).trim().split('\n');
    const flat = (text: string): string =>
      text
        .replaceAll(/\(198\.18[\d.]+\)/g, '(ADDRESS)')
        .replaceAll(/\s+/g, ' ')
        .trim();
    await network.postgres.kill();
    try {
      await shop.reason('orders-db', 'DestinationReachable', 'DestinationRefused', 60);
      const failure = await shop.psql('orders-db', 'select 1').then(
        () => assert.fail('the database answered'),
        (error: unknown) => error,
      );
      assert.ok(failure instanceof CommandFailed);
      assert.ok(flat(failure.stderr).includes(flat(lines.join(' '))), `${failure.stderr}\n${lines.join('\n')}`);
    } finally {
      await network.postgres.start();
    }
    await shop.ready('orders-db');
  });

  for (const path of [...first, ...rest]) {
    const { blocks, words } = readPage(path);
    for (const block of blocks.filter(isShell)) {
      // Made above, and a Secret cannot be created twice.
      if (block.text.includes('create secret')) continue;
      const [begin] = runnable(commandsOf(block));
      if (begin === undefined) continue;
      test(`${path}:${block.line} ${begin}`, async () => {
        await settled();
        await runBlock(block);
      });
    }
    const commands = runnable(words.map(({ target }) => target).filter((word) => /^(kubectl|helm) /.test(word)));
    for (const word of new Set(commands)) {
      if (named.has(word)) continue;
      named.add(word);
      test(`${path} ${word}`, async () => {
        await settled();
        await script(here(word));
      });
    }
  }

  test('the API server accepts the manifest without Helm', async () => {
    const made = await script(
      'test -s portforward.yaml && kubectl apply --server-side --force-conflicts --dry-run=server --filename portforward.yaml',
    );
    assert.match(made, /namespace\/portforward-system serverside-applied/);
    assert.match(made, /deployment\.apps\/portforward serverside-applied/);
  });

  test('the policies that ssm.md makes are JSON of the statements that the page explains', () => {
    const text = readPage('docs/ssm.md').words.map(({ target }) => target);
    const made = JSON.parse(readFileSync(join(folder, 'policy.json'), 'utf8')) as { Statement: { Sid: string }[] };
    for (const { Sid } of made.Statement) assert.ok(text.includes(Sid), Sid);
    assert.match(readFileSync(join(folder, 'trust.json'), 'utf8'), /"pf-stock-db"/);
  });

  test('after an uninstall its own PortForwards are gone, the definition and those of others still there', async () => {
    assert.equal(await script(`helm list --namespace docs-install --short`), '');
    assert.equal(await shop.kubectl(['get', 'portforward', 'of-install', '--ignore-not-found']), '');
    const keep = await cluster.kubectl(['get', 'crd', 'portforwards.portforward.dev', '--output', 'json']);
    assert.match(keep, /"helm\.sh\/resource-policy": "keep"/);
    await shop.ready('orders-db');
    assert.equal(await shop.psql('orders-db', 'select 1'), '1\n');
  });

  test('each row of what is not run is about a command that a page has', () => {
    assert.deepEqual(
      notRun.filter(([pattern]) => !excluded.has(pattern)).map(([pattern]) => String(pattern)),
      [],
    );
  });
});

/** Waits until the README's tunnel has settled after an earlier command: the next command must not meet pods that come and go. */
async function settled(): Promise<void> {
  const read = async (what: string, path: string): Promise<string> =>
    shop.kubectl(['get', ...what.split(' '), '--ignore-not-found', '--output', `jsonpath=${path}`]);
  const reconnect = 'metadata.annotations.portforward\\.dev/reconnectAt';
  await eventually(
    'the document is carried out',
    async () => {
      const wanted = await read('portforward orders-db', `{.metadata.generation} {.${reconnect}}`);
      const observed = await read('portforward orders-db', '{.status.observedGeneration}');
      return wanted === `${observed} ${await read('deployment pf-orders-db', `{.spec.template.${reconnect}}`)}`;
    },
    60_000,
  );
  await shop.kubectl(['rollout', 'status', 'deployment/pf-orders-db', '--timeout=120s']);
  await eventually(
    'no pod is on its way out',
    async () =>
      (await read('pods --selector portforward.dev/name=orders-db', '{.items[*].metadata.deletionTimestamp}')) === '',
    120_000,
  );
}

/** Including those that a killed run left behind. */
async function removeReleases(): Promise<void> {
  for (const { name, namespace: where } of releases) {
    await script(`helm uninstall ${name} --namespace ${where} --ignore-not-found --wait`);
    await cluster.kubectl(['delete', 'namespace', where, '--ignore-not-found', '--timeout=120s']);
  }
}

/** The folder in which a reader types the commands: the checkout, the document, a key, a kubeconfig and the program. */
async function fillFolder(): Promise<void> {
  for (const name of ['helm', 'scripts', 'dist', 'package.json']) symlinkSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(
    join(folder, 'bin', 'portforward'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'src/main.ts')}' "$@"\n`,
    { mode: 0o755 },
  );
  mkdirSync(join(folder, 'named'));
  symlinkSync(join(root, 'src/main.ts'), join(folder, 'named', 'kubectl-portforward'));
  writeFileSync(
    join(folder, 'bin', 'kubectl-portforward'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'named', 'kubectl-portforward')}' "$@"\n`,
    { mode: 0o755 },
  );
  writeFileSync(join(folder, 'id_ed25519'), network.key.privateKey, { mode: 0o600 });
  writeFileSync(join(folder, 'known_hosts'), network.knownHosts);
  const config = await cluster.kubectl(['config', 'view', '--flatten']);
  writeFileSync(join(folder, 'kubeconfig'), config, { mode: 0o600 });
  await script(`kubectl config set-context --current --namespace=${namespace}`);

  // The README's own document; only names and keys are those of this test.
  const orders = firstDocument('README.md');
  const ssh = { ...orders.spec['ssh'], knownHosts: network.knownHosts };
  writeFileSync(join(folder, 'orders-db.yaml'), stringify({ ...orders, spec: { ...orders.spec, ssh } }));
  writeFileSync(join(folder, 'stock-db.yaml'), stringify(firstDocument('docs/ssm.md')));
}

interface Shown {
  readonly kind: string;
  readonly metadata: object;
  readonly spec: Readonly<Record<string, object>>;
}

/** The first PortForward that a page shows, in this test's namespace. */
function firstDocument(page: string): Shown {
  const block = readPage(page).blocks.find(({ text }) => text.includes('kind: PortForward'));
  assert.ok(block);
  const document = parseAllDocuments(here(block.text))
    .map((each) => each.toJS() as Shown)
    .find(({ kind }) => kind === 'PortForward');
  assert.ok(document);
  return { ...document, metadata: { ...document.metadata, namespace } };
}

/** The README's console block whose prompt runs that program. */
function consoleOf(program: string): string {
  const found = readPage('README.md').blocks.find(
    ({ language, text }) => language === 'console' && text.startsWith(`$ ${program} `),
  );
  assert.ok(found, `the README shows no console with ${program}`);
  return found.text;
}
