// What the chart brings for watching, as the tests need it: monitors, rules with short times, and the queries of the dashboards.
// Neighbours: watched-shop.ts; helm/files/ is the source.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { eventually } from '../../lab/base/eventually.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import { renderText } from '../integration/helm/chart.ts';
import { type Monitor, Prometheus } from '../support/prometheus.ts';

export interface Rule {
  readonly alert: string;
  readonly expr: string;
}

interface RuleGroups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

/** Monitors and rules, with further `--set`; an alert fires after a second, and what it looks back on is ten seconds. */
export async function watchingParts(
  values: readonly string[] = [],
): Promise<{ monitors: readonly Monitor[]; rules: RuleGroups }> {
  const names = /^- alert: (\w+)$/gm;
  const all = [...readFileSync(join(import.meta.dirname, '../../helm/files/alerts.yaml'), 'utf8').matchAll(names)];
  const soon = all.map(([, name]) => `metrics.rules.alerts.${name}.for=1s`);
  const parts = [
    'metrics.rules.enabled=true',
    'metrics.serviceMonitor.enabled=true',
    'metrics.podMonitor.enabled=true',
  ];
  const documents = parseAllDocuments(await renderText([...parts, ...soon, ...values])).map(
    (document) => document.toJS() as Monitor & { readonly spec: RuleGroups },
  );
  const rules = documents.find(({ kind }) => kind === 'PrometheusRule')?.spec;
  if (rules === undefined) throw new Error('the chart renders no PrometheusRule');
  const { groups } = JSON.parse(JSON.stringify(rules).replaceAll(/\[\d+m\]/g, '[10s]')) as RuleGroups;
  return { monitors: documents.filter(({ kind }) => /^(Service|Pod)Monitor$/.test(kind)), rules: { groups } };
}

/** What an alert looks at, without the comparison that makes it quiet. */
export function observed({ expr }: Rule): string {
  return expr.replace(/^absent\((.*)\)$/, '$1').replace(/ (>|==) [\d.]+$/, '');
}

interface PanelQuery {
  readonly panel: string;
  readonly query: string;
}

/** Every query of the chart's dashboards, for all that its variables can choose. */
export function panelQueries(): readonly PanelQuery[] {
  return ['operator', 'tunnels'].flatMap((name) => {
    const file = join(import.meta.dirname, `../../helm/files/dashboards/${name}.json`);
    const { panels } = JSON.parse(readFileSync(file, 'utf8')) as {
      panels: readonly { title: string; targets?: readonly { expr: string }[] }[];
    };
    return panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({
        panel: `${name}: ${title}`,
        query: expr.replaceAll('$__rate_interval', '5m').replaceAll(/"\$\w+"/g, '".*"'),
      })),
    );
  });
}

/** Series that only tunnels of one driver have. */
const driverSeries = { fly: 'handshake_age_seconds', ssm: 'message_bytes' } as const;

export const ofOneDriver = ({ query }: PanelQuery): boolean =>
  Object.values(driverSeries).some((series) => query.includes(series));

/** Resolves when the panels that only this driver fills have data of the cluster's present pods. */
export async function driverPanelsFilled(cluster: Cluster, driver: keyof typeof driverSeries): Promise<void> {
  const { monitors } = await watchingParts();
  const prometheus = await Prometheus.start({ kubectl: (args) => cluster.kubectl(args), monitors });
  try {
    for (const { panel, query } of panelQueries().filter((each) => each.query.includes(driverSeries[driver])))
      await eventually(panel, async () => (await prometheus.query(query)).length > 0);
  } finally {
    await prometheus.stop();
  }
}
