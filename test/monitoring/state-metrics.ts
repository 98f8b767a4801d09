// What kube-state-metrics would make of an object by the configuration in examples/kube-state-metrics, as far as paths go: kube-state-metrics
// itself cannot be had where these tests run. A path that leads to nothing is an error here.
// Neighbours: test/cluster/monitoring.test.ts asks it about a real object. Source: kube-state-metrics' docs/metrics/extend/customresourcestate-metrics.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const path = z.array(z.string()).min(1);
const labels = z.record(z.string(), path);
const configuration = z.strictObject({
  kind: z.literal('CustomResourceStateMetrics'),
  spec: z.strictObject({
    resources: z.tuple([
      z.strictObject({
        groupVersionKind: z.strictObject({
          group: z.literal('portforward.dev'),
          version: z.literal('v1alpha1'),
          kind: z.literal('PortForward'),
        }),
        metricNamePrefix: z.string(),
        labelsFromPath: labels,
        metrics: z.array(
          z.strictObject({
            name: z.string().regex(/^[a-z_]+$/),
            help: z.string(),
            each: z.discriminatedUnion('type', [
              z.strictObject({
                type: z.literal('Gauge'),
                gauge: z.strictObject({
                  path,
                  labelsFromPath: labels.optional(),
                  valueFrom: path.optional(),
                  nilIsZero: z.boolean().optional(),
                }),
              }),
              z.strictObject({ type: z.literal('Info'), info: z.strictObject({ labelsFromPath: labels }) }),
            ]),
          }),
        ),
      }),
    ]),
  }),
});

const file = join(import.meta.dirname, '../../examples/kube-state-metrics/portforward.yaml');

/** One line for each sample: `name{label="value"} value`, the value as it stands in the object. @throws Error for a path that leads to nothing. */
export function stateSamples(object: unknown): string[] {
  const [resource] = configuration.parse(parse(readFileSync(file, 'utf8'))).spec.resources;
  for (const common of Object.values(resource.labelsFromPath)) at(object, common);
  return resource.metrics.flatMap(({ name, each }) => {
    const metric = `${resource.metricNamePrefix}_${name}`;
    if (each.type === 'Info') return [`${metric}{${texts(object, each.info.labelsFromPath)}} 1`];
    const { gauge } = each;
    const found = at(object, gauge.path);
    const elements: readonly unknown[] = Array.isArray(found) ? found : [found];
    return elements.map((element) => {
      const value = gauge.valueFrom === undefined ? element : at(element, gauge.valueFrom);
      return `${metric}{${texts(element, gauge.labelsFromPath ?? {})}} ${String(value)}`;
    });
  });
}

const texts = (from: unknown, paths: Readonly<Record<string, readonly string[]>>): string =>
  Object.entries(paths)
    .map(([label, steps]) => `${label}="${String(at(from, steps))}"`)
    .join();

function at(from: unknown, steps: readonly string[]): unknown {
  let value: unknown = from;
  for (const step of steps) value = (value as Readonly<Record<string, unknown>> | undefined)?.[step];
  if (value === undefined) throw new Error(`${steps.join('.')} leads to nothing in ${JSON.stringify(from)}`);
  return value;
}
