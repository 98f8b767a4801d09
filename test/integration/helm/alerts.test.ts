// The chart's alerts in Prometheus' own judgement: they are valid, quiet before their time, fire with the right words and end. Each has a
// page, a row in docs/monitoring.md and a test; the examples of that page are values that the chart takes.
// Neighbours: helm/files/alerts.yaml, test/monitoring/ (what must fire), test/cluster/monitoring.test.ts (on real pods).
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { command } from '../../../lab/process/command.ts';
import { kubernetesVersion } from '../../../lab/programs/programs.ts';
import { operatorWorlds } from '../../monitoring/operator-worlds.ts';
import { tunnelWorlds } from '../../monitoring/worlds.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { readPage } from '../docs/markdown.ts';
import { helm, namespace, ofKind, type Rendered, render, renderText, root } from './chart.ts';

const on = ['metrics.rules.enabled=true', 'metrics.serviceMonitor.enabled=true'];

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Groups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

const specOf = (objects: readonly Rendered[]): Groups => ofKind(objects, 'PrometheusRule')[0]?.['spec'] as Groups;
const rulesOf = (objects: readonly Rendered[]): readonly Rule[] => specOf(objects).groups.flatMap(({ rules }) => rules);

suite('the alerts', () => {
  let spec: Groups;
  let rules: readonly Rule[];
  let folder: string;

  before(async () => {
    spec = specOf(await render(on));
    rules = spec.groups.flatMap((group) => group.rules);
    folder = mkdtempSync(join(tmpdir(), 'portforward-alerts-'));
    writeFileSync(join(folder, 'rules.yaml'), stringify(spec));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('are valid rules of Prometheus', async () => {
    const said = await command('promtool', ['check', 'rules', join(folder, 'rules.yaml')]);
    assert.match(said, new RegExp(`SUCCESS: ${rules.length} rules found`));
  });

  const files = globSync('test/monitoring/*.yaml', { cwd: root });
  for (const file of files) {
    test(`fire and end as ${basename(file)} says`, async () => {
      copyFileSync(join(root, file), join(folder, basename(file)));
      await command('promtool', ['test', 'rules', basename(file)], { cwd: folder });
    });
  }

  test('each has a test, a page and a row in docs/monitoring.md with its own numbers', () => {
    const names = rules.map(({ alert }) => alert);
    const tested = files.flatMap((file) => {
      const { tests } = parse(readFileSync(join(root, file), 'utf8')) as {
        tests: { alert_rule_test: { alertname: string; exp_alerts?: object[] }[] }[];
      };
      return tests.flatMap((each) => each.alert_rule_test).filter((each) => each.exp_alerts !== undefined);
    });
    assert.deepEqual(tested.map(({ alertname }) => alertname).toSorted(), names.toSorted());
    const pages = globSync('docs/runbooks/*.md', { cwd: root }).map((file) => basename(file, '.md'));
    assert.deepEqual(pages.toSorted(), names.toSorted());
    const page = readFileSync(join(root, 'docs/monitoring.md'), 'utf8');
    assertEvery(
      rules,
      ({ alert, for: wait, labels }) => {
        const row = page.split('\n').find((line) => line.includes(`](runbooks/${alert}.md) |`)) ?? '';
        return row.endsWith(`| ${wait.replace('m', ' min')} | ${labels['severity']} |`);
      },
      'the row has the alert’s time and severity',
    );
    assertEvery(
      rules,
      ({ annotations }) => existsSync(join(root, annotations['runbook_url'] ?? '')),
      'by default the runbook is the file of this repository',
    );
  });

  test('each has a world in which `npm run alerts` sees it fire and end, and docs/monitoring.md has the seconds', () => {
    const names = rules.map(({ alert }) => alert);
    const worlds = [...operatorWorlds, ...tunnelWorlds].map(({ alert }) => alert);
    assert.deepEqual(worlds.toSorted(), names.toSorted());
    const page = readFileSync(join(root, 'docs/monitoring.md'), 'utf8');
    const measured = [...page.matchAll(/^\| (\w+) \| [^|]+ \| [\d.]+ s[^|]* \| [\d.]+ s[^|]* \|$/gm)];
    assert.deepEqual(measured.map(([, name = '']) => name).toSorted(), names.toSorted());
  });

  test('take what the values say, and the examples of docs/monitoring.md are such values', async () => {
    const examples = readPage('docs/monitoring.md').blocks.filter(({ language }) => language === 'yaml');
    assert.equal(examples.length, 3);
    const values = examples.map(({ text }, index) => {
      const file = join(folder, `example-${index}.yaml`);
      writeFileSync(file, text);
      return ['--values', file];
    });
    const given = ['--kube-version', kubernetesVersion, '--namespace', namespace, ...values.flat()];
    const text = await helm(['template', 'portforward', './helm', ...given]);
    const objects = parseAllDocuments(text).map((document) => document.toJS() as Rendered);
    const [rule] = ofKind(objects, 'PrometheusRule');
    assert.equal(rule?.metadata.labels['release'], 'prometheus');
    const changed = rulesOf(objects);
    const find = (name: string): Rule | undefined => changed.find(({ alert }) => alert === name);
    assert.equal(find('PortForwardSlowCrypto'), undefined);
    assert.equal(find('PortForwardDown')?.for, '2m');
    assert.match(find('PortForwardSessionsLost')?.expr ?? '', /> 20$/);
    assert.deepEqual(find('PortForwardSessionsLost')?.labels, { severity: 'info', team: 'platform' });
    assert.match(
      find('PortForwardDown')?.annotations['runbook_url'] ?? '',
      /^https:.*\/docs\/runbooks\/PortForwardDown\.md$/,
    );
    assert.equal(ofKind(objects, 'ConfigMap').length, 2);
  });

  test('watch the controller of their own install, and the tunnels that it may see', async () => {
    const limited = rulesOf(await render([...on, 'watchNamespaces={shop,stock}']));
    const operator = `namespace="${namespace}",job="portforward-metrics"`;
    assertEvery(
      limited,
      ({ expr }) => expr.includes(operator) !== expr.includes('namespace=~"shop|stock"'),
      'each expression is about the one or the others',
    );
    const own = rulesOf(
      await render(['metrics.rules.enabled=true', 'metrics.rules.controllerMatchers=job="portforward"']),
    );
    assert.equal(own[0]?.expr, 'absent(leader_election_master_status{job="portforward"} == 1)');
  });

  test('take a threshold with a fraction from the command line, which Helm reads as text', async () => {
    const [rule] = rulesOf(await render([...on, 'metrics.rules.alerts.PortForwardDialsSlow.threshold=0.5'])).filter(
      ({ alert }) => alert === 'PortForwardDialsSlow',
    );
    assert.match(rule?.expr ?? '', /> 0\.5$/);
  });

  test('are refused where they could not work: a name that does not exist, a number that is none, no series', async () => {
    await assert.rejects(renderText([...on, 'metrics.rules.disabled={PortForwardDwn}']), /no alert PortForwardDwn/);
    await assert.rejects(
      renderText([...on, 'metrics.rules.alerts.PortForwardRepairs.threshold=many']),
      /PortForwardRepairs/,
    );
    await assert.rejects(renderText(['metrics.rules.enabled=true']), /metrics\.serviceMonitor\.enabled/);
  });
});

test('without the values there is neither rule nor dashboard', async () => {
  const objects = await render();
  assert.deepEqual([...ofKind(objects, 'PrometheusRule'), ...ofKind(objects, 'ConfigMap')], []);
});
