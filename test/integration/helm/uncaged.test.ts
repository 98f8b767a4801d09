// An operator that its policies do not restrict notices it, on a real API server: a log line, a metric, and an Event about its own pod.
// Neighbours: own-controller.ts, cage-world.ts (what the policies refuse).
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { CommandFailed } from '../../../lab/process/command.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { cageAttempts } from '../../../src/controller/cage-attempts.ts';
import { controllerUser, namespace, renderText, root } from './chart.ts';
import { type OwnController, startOwnController, until } from './own-controller.ts';

const policies = ['budgets', 'events', 'networkpolicies', 'owned', 'pods', 'serviceaccounts', 'services'];
const told = 'the API server admits what the admission policies of this install must refuse';
const cageTimings = { everyMs: 200, confirmMs: 1_000, retryMs: 200, repeatMs: 3_600_000 };

let server: ApiServer;
let manifest: string;
const running: OwnController[] = [];
before(async () => {
  server = await startApiServer();
  await server.kubectl(['create', 'namespace', namespace]);
  manifest = await renderText();
  await server.kubectl(['apply', '--server-side', '--filename', '-'], { input: manifest });
  await server.untilServed('portforwards.portforward.dev');
  // Policies act a moment after they are stored: a controller that is faster would tell of it.
  const { tunnel } = readSettings(['--tunnel-image=registry.example/portforward:test'], { POD_NAMESPACE: namespace });
  const attempts = cageAttempts(tunnel, new Date()).map(({ object }) => JSON.stringify(object));
  const create = ['create', '--as', controllerUser, '--dry-run=server', '--validate=false', '--filename', '-'];
  await eventually('every policy acts', async () => {
    const said = await server.kubectl(create, { input: attempts.join('\n---\n') }).then(
      () => '',
      (error: unknown) => (error instanceof CommandFailed ? error.stderr : String(error)),
    );
    return said.split('denied request').length === attempts.length + 1;
  });
});
after(async () => {
  for (const each of running) await each.stop();
  await server?.stop();
});

async function start(podName: string, installed = manifest): Promise<OwnController> {
  const controller = await startOwnController(server, { podName, manifest: installed, overrides: { cageTimings } });
  running.push(controller);
  return controller;
}

/** Waits until exactly these policies do not act. */
async function untilUncaged(controller: OwnController, names: readonly string[]): Promise<void> {
  const wanted = policies.map((name) => `portforward_uncaged{policy="${name}"} ${names.includes(name) ? 1 : 0}`);
  let lines: string[] = [];
  await until(
    `uncaged by ${names.join()}`,
    async () => {
      lines = (await controller.series('portforward_uncaged{')).toSorted();
      return lines.join() === wanted.join();
    },
    () => lines,
  );
}

test('under the chart’s policies each dry run is refused; a binding that is gone is told, and so is its return', async () => {
  const first = await start('portforward-0');
  await first.leading;
  await untilUncaged(first, []);
  assert.deepEqual(
    first.lines.filter(({ msg }) => msg === told),
    [],
  );
  const binding = `portforward-system-portforward-pods`;
  await server.kubectl(['delete', 'validatingadmissionpolicybinding', binding]);
  await untilUncaged(first, ['pods']);
  await until('it is logged', async () =>
    first.lines.some(({ msg, policies: which }) => msg === told && which === 'pods'),
  );
  const about =
    'jsonpath={range .items[?(@.reason=="Uncaged")]}{.type} {.involvedObject.kind}/{.involvedObject.name} {.message}{"\\n"}{end}';
  let events = '';
  await until('there is an Event', async () => {
    events = await server.kubectl(['--namespace', namespace, 'get', 'events', '--output', about]);
    return events !== '';
  });
  assert.match(events, /^Warning Pod\/portforward-0 The API server admits .*\(pods\).*\n$/);
  await server.kubectl(['apply', '--server-side', '--filename', '-'], { input: manifest });
  await untilUncaged(first, []);
  await until('its return is logged', async () =>
    first.lines.some(({ msg }) => msg === 'the admission policies of this install act again'),
  );
});

test('of two replicas the leader asks, and the next leader goes on', async () => {
  const [first] = running;
  assert.ok(first);
  const second = await start('portforward-1');
  await untilUncaged(first, []);
  await first.stop();
  await second.leading;
  await untilUncaged(second, []);
});

/** The kustomization that docs/install.md shows, over the chart's manifest. */
async function kustomized(): Promise<string> {
  const page = readFileSync(join(root, 'docs/install.md'), 'utf8');
  const [, kustomization = ''] = /```yaml\n(namespace: tunnels-system\n[\s\S]*?)```/.exec(page) ?? [];
  const folder = mkdtempSync(join(tmpdir(), 'portforward-kustomize-'));
  try {
    writeFileSync(join(folder, 'kustomization.yaml'), kustomization);
    writeFileSync(
      join(folder, 'portforward.yaml'),
      await renderText(['image.repository=registry.example.com/portforward']),
    );
    return await server.kubectl(['kustomize', folder]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('moved by Kustomize to another namespace and image, it is caged, and tunnels run the new image', async () => {
  const [, second] = running;
  await second?.stop();
  await server.kubectl(['create', 'namespace', 'tunnels-system']);
  const moved = await kustomized();
  assert.match(moved, /--tunnel-image=mirror\.example\.com\/portforward:/);
  await server.kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], { input: moved });
  const third = await start('portforward-2', moved);
  await third.leading;
  await untilUncaged(third, []);
  const spec = {
    ports: [{ port: 5432 }],
    ssh: { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'bastion' } },
  };
  const portForward = (where: string) => ({
    apiVersion,
    kind,
    metadata: { name: 'orders-db', namespace: where },
    spec,
  });
  await server.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(portForward('default')) });
  const image = 'jsonpath={.spec.template.spec.containers[0].image}';
  const args = ['--namespace', 'default', 'get', 'deployment', 'pf-orders-db', '--ignore-not-found', '--output', image];
  await until('there is the Deployment', async () =>
    (await server.kubectl(args)).startsWith('mirror.example.com/portforward:'),
  );
  const account = 'system:serviceaccount:tunnels-system:portforward';
  const object = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'pf-x', namespace: 'tunnels-system' } };
  await assert.rejects(
    server.kubectl(['create', '--as', account, '--dry-run=server', '--filename', '-'], {
      input: JSON.stringify(object),
    }),
    /denied request/,
  );
});
