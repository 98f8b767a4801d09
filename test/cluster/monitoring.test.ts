// What the chart brings for watching works on real pods: a real Prometheus finds controller and tunnel by the chart's monitors, every query
// of the dashboards and every alert has data, and two alerts fire in the world that they are for and end after it.
// Neighbours: test/monitoring/ (the world; `npm run alerts` runs one for each alert), test/integration/helm/alerts.test.ts (the rules alone).
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../../lab/base/eventually.ts';
import { observed, ofOneDriver, panelQueries } from '../monitoring/chart-parts.ts';
import { stateSamples } from '../monitoring/state-metrics.ts';
import { WatchedShop } from '../monitoring/watched-shop.ts';
import { bastionsGone, destinationGone, type World } from '../monitoring/worlds.ts';

suite('monitoring', () => {
  let watched: WatchedShop;
  before(async () => {
    watched = await WatchedShop.open('monitoring');
  });
  after(() => watched?.close());

  const fires = async (name: string): Promise<boolean> =>
    (await watched.prometheus.firing()).some(
      ({ labels }) => labels['alertname'] === name && labels['namespace'] === watched.shop.namespace,
    );

  const world = ({ alert, begin, end }: World): void => {
    test(`${alert} fires in its world and ends after it`, async (t) => {
      await eventually(`${alert} is quiet`, async () => !(await fires(alert)));
      await begin(watched);
      const begun = await eventually(`${alert} fires`, () => fires(alert), 60_000);
      await end(watched);
      const ended = await eventually(`${alert} has ended`, async () => !(await fires(alert)), 60_000);
      t.diagnostic(`fires after ${(begun / 1000).toFixed(1)} s, ends after ${(ended / 1000).toFixed(1)} s`);
    });
  };

  test('the configuration for kube-state-metrics finds everything that it names in a real object', async () => {
    // The counts of pods are written after the verdict.
    const counted = ['{.status.replicas}', '{.status.readyReplicas}'].map((path) => `--for=jsonpath=${path}=1`);
    for (const each of counted) await watched.shop.kubectl(['wait', each, 'portforward/orders-db', '--timeout=60s']);
    const samples = stateSamples(await watched.shop.get('orders-db'));
    const find = (start: string): string[] => samples.filter((sample) => sample.startsWith(start));
    assert.deepEqual(find('kube_portforward_status_condition{type="Ready"'), [
      'kube_portforward_status_condition{type="Ready",reason="Ready"} True',
    ]);
    assert.deepEqual(find('kube_portforward_status_replicas'), ['kube_portforward_status_replicas{} 1']);
    assert.deepEqual(find('kube_portforward_status_ready'), ['kube_portforward_status_ready_replicas{} 1']);
    assert.deepEqual(find('kube_portforward_port'), ['kube_portforward_port_reachable{port="p5432"} true']);
    assert.match(find('kube_portforward_info')[0] ?? '', /driver="ssh",via="[\d.]+:22"/);
  });

  test('a client is carried, and more than the pod may carry are refused', async () => {
    assert.equal(await watched.shop.psql('orders-db', 'select 1'), '1\n');
    watched.fill();
    await watched.sees('portforward_tunnel_client_resets_total{cause="limit"} > 0');
  });

  world(destinationGone);
  world(bastionsGone);

  test('every query of the dashboards returns data', async (t) => {
    const queries = panelQueries();
    const asked = queries.filter((each) => !ofOneDriver(each));
    t.diagnostic(
      `${asked.length} of ${queries.length} queries; test/cluster/ssm.test.ts and fly.test.ts ask the others`,
    );
    for (const { panel, query } of asked)
      await watched.sees(query, 30_000).catch((error: unknown) => {
        throw new Error(panel, { cause: error });
      });
  });

  test('what every alert looks at is there', async () => {
    for (const rule of watched.rules) {
      await watched.sees(observed(rule), 30_000).catch((error: unknown) => {
        throw new Error(rule.alert, { cause: error });
      });
    }
  });
});
