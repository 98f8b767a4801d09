// What Helm prints after an install: the document in it can be saved and applied as it stands, and warnings are there when they should be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { check } from '../../../src/cli/check.ts';
import { Folder } from '../cli/laptop.ts';
import { helm, namespace } from './chart.ts';

let server: ApiServer;

before(async () => {
  server = await startApiServer();
});
after(() => server.stop());

/** The notes for these `--set` values. Helm asks a cluster for its version even then; nothing is installed. */
async function notes(values: readonly string[] = []): Promise<string> {
  const set = values.flatMap((value) => ['--set', value]);
  const args = ['install', 'portforward', './helm', '--namespace', namespace, '--dry-run=client', '--output', 'json'];
  const { info } = JSON.parse(await helm([...args, '--kubeconfig', server.kubeconfig, ...set])) as {
    readonly info: { readonly notes: string };
  };
  return info.notes;
}

/** What a reader saves: all lines from the first that begins a document to the next that is a sentence again. */
function documentIn(text: string): string {
  const [document = ''] = /^apiVersion: [\s\S]+?(?=\n\n\S)/m.exec(text) ?? [];
  return document;
}

for (const [title, values] of [
  ['the defaults', []],
  ['a class and namespaces', ['className=blue', 'watchNamespaces={shop,stock}']],
  ['a list that was reset', ['watchNamespaces=null']],
] as const) {
  test(`with ${title} the document of the notes is one that portforward check finds valid`, async (t) => {
    const folder = new Folder();
    t.after(() => folder[Symbol.dispose]());
    const file = folder.write('orders-db.yaml', documentIn(await notes(values)));
    const lines: string[] = [];
    assert.equal(check({ files: [file], output: 'text', print: (line) => lines.push(line) }), true, lines.join('\n'));
    // The host key in it stands for the reader's own.
    assert.equal(lines.length, 2, lines.join('\n'));
    assert.match(lines[1] ?? '', /spec\.ssh\.knownHosts: warning: line 1 is skipped/);
  });
}

test('the commands of the notes act in the first watched namespace, and the document says it and its class', async () => {
  const text = await notes(['className=blue', 'watchNamespaces={shop,stock}']);
  assert.match(documentIn(text), /^ {2}namespace: shop$/m);
  assert.match(documentIn(text), /^ {2}className: "blue"$/m);
  const commands = text.match(/^ {2}kubectl .*$/gm) ?? [];
  assert.ok(commands.length >= 6, text);
  assert.deepEqual(
    commands.filter((line) => !line.startsWith('  kubectl --namespace ') || line.includes('<<')),
    [],
  );
  assert.equal(commands.filter((line) => line.includes('--namespace shop ')).length, commands.length - 1);
  assert.doesNotMatch(await notes(), /--namespace shop|namespace: /);
});

/** As much of Prometheus' operator as Helm wants to see before it plans an object of that kind. */
const podMonitors = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'podmonitors.monitoring.coreos.com' },
  spec: {
    group: 'monitoring.coreos.com',
    names: { kind: 'PodMonitor', plural: 'podmonitors', singular: 'podmonitor' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
} as const;

test('a PodMonitor that no tunnel lets in is warned of', async () => {
  await server.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(podMonitors) });
  await server.untilServed(podMonitors.metadata.name);
  const warning = /WARNING: metrics\.podMonitor is on, but metrics\.scrapeFrom is empty/;
  assert.match(await notes(['metrics.podMonitor.enabled=true']), warning);
  const allowed = 'metrics.scrapeFrom[0].namespaceSelector.matchLabels.team=observability';
  assert.doesNotMatch(await notes(['metrics.podMonitor.enabled=true', allowed]), warning);
});

test('who may scrape is said only if somebody may', async () => {
  const sentence = /Only who is named in metrics\.scrapeFrom reaches the metrics of the controller/;
  assert.match(await notes(['metrics.scrapeFrom[0].namespaceSelector.matchLabels.team=observability']), sentence);
  assert.doesNotMatch(await notes(), sentence);
});

test('a controller that nothing restricts is warned of', async () => {
  const warning = /WARNING: admissionPolicies\.controller is off/;
  assert.match(await notes(['admissionPolicies.controller.enabled=false']), warning);
  assert.doesNotMatch(await notes(), warning);
});
