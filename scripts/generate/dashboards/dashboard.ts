// A Grafana dashboard as JSON, from rows of panels: each panel is a title, a unit and its queries.
// Neighbours: operator.ts and tunnels.ts have the rows; ../../generate.ts writes the files; test/unit/scripts/dashboards.test.ts judges them.
// Source of the form: Grafana's JSON model, schemaVersion 39 (Grafana 10.4 and later).

/** A query with the legend of its series. */
type Query = readonly [expression: string, legend: string];

export interface Panel {
  readonly title: string;
  /** What a reader should know who sees it for the first time. */
  readonly about: string;
  /** stat: the last value, large. Default: lines over time. */
  readonly type?: 'stat' | 'timeseries';
  /** Grafana's name of the unit. Default: a plain number. */
  readonly unit?: 'Bps' | 'bytes' | 'ops' | 'percentunit' | 's' | 'short';
  readonly queries: readonly Query[];
  /** From this value on it is red; of stats only. */
  readonly redFrom?: number;
  /** Areas on top of each other: parts of a whole. */
  readonly stacked?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

interface Variable {
  readonly name: string;
  readonly label: string;
  /** Grafana's own function, as in `label_values(series, label)`. */
  readonly query: string;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

const datasource = { type: 'prometheus', uid: '${datasource}' };
const columns = 24;

/** The dashboard's file. */
export function dashboardJson({ uid, title, description, variables, rows }: Dashboard): string {
  const document = {
    uid,
    title,
    description,
    tags: ['portforward'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: '',
    annotations: { list: [] },
    links: [],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {}, hide: 0 },
        ...variables.map(variableJson),
      ],
    },
    panels: placed(rows),
  };
  return `${JSON.stringify(document, null, 1)}\n`;
}

function variableJson({ name, label, query }: Variable): object {
  return {
    name,
    label,
    type: 'query',
    datasource,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    includeAll: true,
    // Series without the label are shown, too.
    allValue: '.*',
    multi: true,
    current: { text: ['All'], value: ['$__all'] },
    hide: 0,
  };
}

/** Each row is a heading with its panels below it: six stats in a line, or three graphs. */
function placed(rows: readonly Row[]): object[] {
  const made: object[] = [];
  let y = 0;
  for (const row of rows) {
    made.push({
      id: made.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: columns, h: 1 },
    });
    y += 1;
    let [x, height] = [0, 0];
    for (const panel of row.panels) {
      const [w, h] = panel.type === 'stat' ? [4, 4] : [8, 8];
      if (x + w > columns) {
        y += height;
        [x, height] = [0, 0];
      }
      made.push({ id: made.length + 1, ...panelJson(panel), gridPos: { x, y, w, h } });
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return made;
}

function panelJson(panel: Panel): object {
  const { title, about, type = 'timeseries', queries } = panel;
  return {
    type,
    title,
    description: about,
    datasource,
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource,
      editorMode: 'code',
      expr,
      legendFormat,
      ...(type === 'stat' ? { instant: true } : { range: true }),
    })),
    fieldConfig: { defaults: fieldDefaults(panel), overrides: [] },
    options:
      type === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, colorMode: 'value', textMode: 'auto' }
        : {
            legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'], showLegend: true },
            tooltip: { mode: 'multi', sort: 'desc' },
          },
  };
}

function fieldDefaults({ type = 'timeseries', unit = 'short', redFrom, stacked = false }: Panel): object {
  const steps = [{ color: 'green', value: null }, ...(redFrom === undefined ? [] : [{ color: 'red', value: redFrom }])];
  const drawn = {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    showPoints: 'never',
    spanNulls: false,
    fillOpacity: stacked ? 30 : 5,
    stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
  };
  return {
    unit,
    min: 0,
    color: { mode: type === 'stat' ? 'thresholds' : 'palette-classic' },
    thresholds: { mode: 'absolute', steps },
    ...(type === 'stat' ? {} : { custom: drawn }),
  };
}
