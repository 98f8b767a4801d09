// The dashboards in the form that Grafana reads: its JSON model, as far as a schema can say it. That their queries return data is shown by
// test/cluster/monitoring.test.ts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { z } from 'zod';
import { assertEvery } from '../../support/assert-every.ts';

const files = ['operator', 'tunnels'] as const;
const columns = 24;

const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') });
const gridPos = z.strictObject({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1).max(columns),
  h: z.int().min(1),
});
const row = z.strictObject({
  id: z.int(),
  type: z.literal('row'),
  title: z.string().min(1),
  collapsed: z.literal(false),
  panels: z.tuple([]),
  gridPos,
});
const panel = z.strictObject({
  id: z.int(),
  type: z.enum(['stat', 'timeseries']),
  title: z.string().min(1),
  description: z.string().min(1),
  datasource,
  targets: z
    .array(
      z.strictObject({
        refId: z.string().regex(/^[A-Z]$/),
        datasource,
        editorMode: z.literal('code'),
        expr: z.string().min(1),
        legendFormat: z.string().min(1),
        instant: z.literal(true).optional(),
        range: z.literal(true).optional(),
      }),
    )
    .min(1),
  fieldConfig: z.strictObject({
    defaults: z.looseObject({
      unit: z.enum(['Bps', 'bytes', 'ops', 'percentunit', 's', 'short']),
      thresholds: z.strictObject({
        mode: z.literal('absolute'),
        steps: z.array(z.strictObject({ color: z.string(), value: z.number().nullable() })).min(1),
      }),
    }),
    overrides: z.tuple([]),
  }),
  options: z.looseObject({}),
  gridPos,
});
const dashboard = z.strictObject({
  uid: z.string().max(40),
  title: z.string(),
  description: z.string(),
  tags: z.array(z.string()),
  schemaVersion: z.literal(39),
  editable: z.boolean(),
  graphTooltip: z.int(),
  refresh: z.string(),
  time: z.strictObject({ from: z.string(), to: z.string() }),
  timezone: z.string(),
  annotations: z.strictObject({ list: z.tuple([]) }),
  links: z.tuple([]),
  templating: z.strictObject({
    list: z.array(z.looseObject({ name: z.string(), type: z.enum(['datasource', 'query']) })),
  }),
  panels: z.array(z.discriminatedUnion('type', [row, panel])).min(10),
});

for (const name of files) {
  suite(`the dashboard ${name}`, () => {
    const file = join(import.meta.dirname, '../../../helm/files/dashboards', `${name}.json`);
    const read = dashboard.parse(JSON.parse(readFileSync(file, 'utf8')));
    const panels = read.panels.filter((each) => each.type !== 'row');

    test('numbers its panels once, and names each once', () => {
      const ids = read.panels.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      const titles = read.panels.map(({ title }) => title);
      assert.equal(new Set(titles).size, titles.length);
    });

    test('has no panel over another or beyond the edge', () => {
      const taken = new Map<string, string>();
      for (const { title, gridPos: at } of read.panels) {
        assert.ok(at.x + at.w <= columns, title);
        for (let x = at.x; x < at.x + at.w; x += 1) {
          for (let y = at.y; y < at.y + at.h; y += 1) {
            assert.equal(taken.get(`${x},${y}`), undefined, `${title} lies over ${taken.get(`${x},${y}`)}`);
            taken.set(`${x},${y}`, title);
          }
        }
      }
    });

    test('asks each query for what its variables choose, and uses no other variable', () => {
      const known = [...read.templating.list.map((each) => each.name), '__rate_interval'];
      const chosen = read.templating.list.filter(({ type }) => type === 'query').map((each) => `$${each.name}`);
      const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
      assertEvery(queries, (expr) => chosen.every((variable) => expr.includes(`"${variable}"`)), 'filtered');
      const used = queries.flatMap((expr) => [...expr.matchAll(/\$(\w+)/g)].map(([, variable = '']) => variable));
      assert.deepEqual(
        [...new Set(used)].filter((variable) => !known.includes(variable)),
        [],
      );
    });
  });
}
