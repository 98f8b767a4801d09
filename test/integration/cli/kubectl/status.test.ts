// `kubectl portforward` against a real API server: what it tells of stored tunnels, and the changes that it makes. Pods, logs and clients
// need a cluster.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { stringify } from 'yaml';
import { type ApiServer, startApiServer } from '../../../../lab/cluster/api-server.ts';
import { CommandFailed } from '../../../../lab/process/command.ts';
import { readPage } from '../../docs/markdown.ts';
import { Plugin } from './plugin.ts';

const crd = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', 'crds', 'portforward.yaml'), 'utf8');
const refused = 'orders.db.internal:5432 refuses the connection from bastion a.example.com:22: start the service';

const nextStep = 'kubectl portforward doctor orders-db -n shop finds the hop at fault';

let server: ApiServer;
let plugin: Plugin;

const document = (name: string, namespace: string) => ({
  apiVersion: 'portforward.dev/v1alpha1',
  kind: 'PortForward',
  metadata: { name, namespace, labels: { team: name } },
  spec: {
    ports: [{ port: 5432, name: 'postgres', destinationHost: 'orders.db.internal' }, { port: 6379 }],
    ssh: { user: 'tunnel', bastions: [{ host: 'a.example.com' }], secretRef: { name: 'key' } },
  },
});

const lastTransitionTime = new Date(Date.now() - 26 * 3_600_000).toISOString();
const condition = (type: string, status: string, reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime,
});

/** What the operator would write. */
const unreachable = {
  observedGeneration: 1,
  conditions: [
    condition('Accepted', 'True', 'Accepted', 'The document is valid.'),
    condition('Connected', 'True', 'Connected', '1 of 1 pod is ready.'),
    condition('DestinationReachable', 'False', 'DestinationRefused', refused),
    condition('Ready', 'False', 'DestinationRefused', refused),
  ],
  address: 'orders-db.shop.svc',
  readyPods: '1/1',
  via: 'a.example.com:22',
  routes: [{ via: 'a.example.com:22', state: 'InUse', since: lastTransitionTime }],
  ports: [
    { name: 'postgres', address: 'x:5432', destination: 'orders.db.internal:5432', reachable: false, message: refused },
    { name: 'p6379', address: 'x:6379', destination: 'localhost:6379', reachable: true },
  ],
};

async function setStatus(name: string, namespace: string, status: object): Promise<void> {
  const patch = JSON.stringify({ status });
  const args = ['patch', 'portforward', name, '-n', namespace, '--subresource=status', '--type=merge', '-p', patch];
  await server.kubectl(args);
}

const failureOf = async (call: Promise<string>): Promise<CommandFailed> => {
  const failure: unknown = await call.then(
    (said) => assert.fail(said),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof CommandFailed);
  return failure;
};

suite('kubectl portforward', () => {
  before(async () => {
    server = await startApiServer();
    await server.kubectl(['apply', '-f', '-'], { input: crd });
    await server.untilServed('PortForward');
    for (const namespace of ['shop', 'other']) await server.kubectl(['create', 'namespace', namespace]);
    const documents = [document('orders-db', 'shop'), document('stock-db', 'shop'), document('orders-db', 'other')];
    await server.kubectl(['apply', '-f', '-'], { input: documents.map((each) => stringify(each)).join('---\n') });
    await setStatus('orders-db', 'shop', unreachable);
    await server.kubectl(['config', 'set-context', '--current', '--namespace=shop']);
    plugin = new Plugin(server.kubeconfig);
  });
  after(async () => {
    plugin?.[Symbol.dispose]();
    await server?.stop();
  });

  test('status lists each port of the current namespace, and below what is wrong and what to do', async () => {
    const pending = 'Waiting for an operator that serves spec.className: none has looked at this document yet.';
    assert.deepEqual(columns(await plugin.call('status')), [
      'TUNNEL | PORT | STATE | VIA | CLIENTS | SINCE | REASON',
      'orders-db | 5432/postgres | Unreachable | a.example.com:22 | - | 26h | DestinationRefused',
      'orders-db | 6379/p6379 | Ready | a.example.com:22 | - | 26h',
      'stock-db | 5432/postgres | Unknown | - | - | AGE | Pending',
      'stock-db | 6379/p6379 | Unknown | - | - | AGE | Pending',
      '',
      `orders-db: Unreachable, DestinationRefused: ${refused}`,
      nextStep,
      '',
      `stock-db: Unknown, Pending: ${pending}`,
    ]);
  });

  test('status of one tunnel has its bastions and its address; of all namespaces, a column for them', async () => {
    assert.deepEqual(columns(await plugin.call('status', 'pf/orders-db')).slice(3), [
      '',
      'THROUGH | STATE | SINCE',
      'a.example.com:22 | InUse | 26h',
      '',
      'Address orders-db.shop.svc, 1/1 pods ready.',
      '',
      `orders-db: Unreachable, DestinationRefused: ${refused}`,
      nextStep,
    ]);
    const all = columns(await plugin.call('status', '-A'));
    assert.equal(all[0], 'NAMESPACE | TUNNEL | PORT | STATE | VIA | CLIENTS | SINCE | REASON');
    assert.ok(all.includes('other | orders-db | 5432/postgres | Unknown | - | - | AGE | Pending'), all.join('\n'));
    assert.ok(all.includes(`shop/orders-db: Unreachable, DestinationRefused: ${refused}`), all.join('\n'));
    const labelled = columns(await plugin.call('status', '-l', 'team=stock-db', '-n', 'shop'));
    assert.equal(labelled.filter((line) => line.startsWith('orders-db')).length, 0, labelled.join('\n'));
    assert.match(
      await plugin.call('status', '-n', 'default'),
      /no tunnels here: kubectl portforward status -A shows all/,
    );
  });

  test('the screen of docs/kubectl.md is what status prints; here no pod can be asked for its clients', async () => {
    const block = readPage('docs/kubectl.md').blocks.find(({ text }) =>
      text.startsWith('$ kubectl portforward status '),
    );
    const [, ...screen] = block?.text.trimEnd().split('\n') ?? [];
    await server.kubectl(['create', 'namespace', 'page']);
    const { spec, ...rest } = document('orders-db', 'page');
    await server.kubectl(['apply', '-f', '-'], {
      input: stringify({ ...rest, spec: { ...spec, ports: spec.ports.slice(0, 1) } }),
    });
    const [a, b] = ['bastion-a.example.com:22', 'bastion-b.example.com:22'];
    const since = lastTransitionTime;
    await setStatus('orders-db', 'page', {
      conditions: [condition('Ready', 'True', 'Ready', 'Clients are carried to every destination.')],
      address: 'orders-db.shop.svc',
      readyPods: '2/2',
      via: a,
      routes: [
        { via: a, state: 'InUse', since },
        { via: b, state: 'Failed', since, message: screen.at(-1)?.replace(/^.* would not help: /, '') },
      ],
      tunnels: ['x2k4q', 'zl9wd'].map((pod) => ({
        pod: `pf-orders-db-6d5f7c9b8-${pod}`,
        state: 'Connected',
        via: a,
        since,
      })),
    });
    const printed = columns(await plugin.call('status', 'orders-db', '-n', 'page'));
    assert.deepEqual(printed, columns(screen.join('\n').replace(' 3  ', ' -  ')));
  });

  test('status -o json is for programs', async () => {
    const [told] = JSON.parse(await plugin.call('status', 'orders-db', '-n', 'shop', '-o', 'json')) as [
      { name: string; ready: string; ports: { port: number; state: string; reason?: string; since?: string }[] },
    ];
    assert.deepEqual([told.name, told.ready], ['orders-db', 'False']);
    assert.deepEqual(
      told.ports.map(({ port, state, reason }) => [port, state, reason]),
      [
        [5432, 'Unreachable', 'DestinationRefused'],
        [6379, 'Ready', undefined],
      ],
    );
  });

  test('status -w goes on with each change, and prints the header once', async () => {
    const watching = plugin.start('status', 'orders-db', '-n', 'other', '-w');
    try {
      await watching.line(/^orders-db +5432.*Unknown/);
      await setStatus('orders-db', 'other', unreachable);
      await watching.line(/^orders-db +5432.*Unreachable.*DestinationRefused$/);
      await watching.line(/^orders-db: Unreachable, DestinationRefused/);
      assert.equal(watching.log().filter((line) => line.startsWith('TUNNEL ')).length, 1, watching.log().join('\n'));
    } finally {
      await watching.stop();
    }
  });

  test('suspend, resume and reconnect make one change each, and warn of a document that lives in Git', async () => {
    const read = async (path: string): Promise<string> =>
      server.kubectl(['get', 'portforward', 'stock-db', '-n', 'shop', '-o', `jsonpath={${path}}`]);
    assert.match(await plugin.call('suspend', 'stock-db'), /^stock-db: suspended: its pods drain and end/);
    assert.equal(await read('.spec.suspend'), 'true');
    await server.kubectl([
      'annotate',
      'portforward',
      'stock-db',
      '-n',
      'shop',
      'argocd.argoproj.io/tracking-id=shop:x',
    ]);
    assert.match(await plugin.call('resume', 'stock-db'), /Argo CD manages this document and may undo the change/);
    assert.equal(await read('.spec.suspend'), 'false');
    const said = await plugin.call('reconnect', 'stock-db', '--namespace=shop');
    assert.match(said, /kubectl portforward status stock-db -w --namespace=shop follows/);
    const at = Date.parse(await read('.metadata.annotations.portforward\\.dev/reconnectAt'));
    assert.ok(Math.abs(Date.now() - at) < 60_000, String(at));
  });

  test('kubectl’s own completion knows commands, options and the names of tunnels', async () => {
    const complete = async (...words: readonly string[]): Promise<string[]> =>
      (await plugin.kubectl('__complete', 'portforward', ...words)).trim().split('\n');
    assert.deepEqual(await complete('status', ''), ['orders-db', 'stock-db', ':4']);
    assert.deepEqual(await complete('status', '-n', 'other', 'o'), ['orders-db', ':4']);
    assert.deepEqual(await complete('status', '-o', 'j'), ['json', ':4']);
    assert.deepEqual(await complete('sus'), ['suspend', ':4']);
    assert.deepEqual(await complete('status', '--context', 'nowhere', ''), [':4']);
  });

  test('what kubectl refuses is told in its words with exit code 1, a wrong call with 2', async () => {
    const missing = await failureOf(plugin.call('status', 'nobody'));
    assert.match(missing.stderr, /^Error from server \(NotFound\): portforwards\.portforward\.dev "nobody" not found/m);
    assert.equal(missing.exitCode, 1);
    const context = await failureOf(plugin.call('suspend', 'orders-db', '--context', 'nowhere'));
    assert.match(context.stderr, /context was not found for specified context: nowhere/);
    for (const call of [
      ['status', '../x'],
      ['status', 'orders-db', '-A'],
      ['reconnect'],
      ['status', '--nonsense'],
      ['fly'],
    ]) {
      const wrong = await failureOf(plugin.call(...call));
      assert.equal(wrong.exitCode, 2, wrong.stderr);
    }
  });
});

/** Its lines, with a bar between columns, and ages of seconds hidden. */
const columns = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll(/ {2,}/g, ' | ').replace(/\| \d+s(?=$| \|)/, '| AGE'));
