// docs/reference/api.md: the API as tables, from the same structural schema as the CRD.
// Neighbours: crd.ts, structural.ts.
import { apiVersion, kind, shortName } from '../../src/contract/api/names.ts';
import { kindSchema } from './crd.ts';
import type { Structural } from './structural.ts';

/** Kubernetes' own objects: known from there, so not unfolded here. */
const foreign: ReadonlySet<string> = new Set([
  'affinity',
  'tolerations',
  'topologySpreadConstraints',
  'podSelector',
  'namespaceSelector',
]);

/** The page as Markdown. */
export function apiPage(): string {
  const schema = kindSchema();
  const { spec, status } = schema.properties ?? {};
  if (spec === undefined || status === undefined) throw new Error('the kind has no spec or no status');
  return `<!-- Generated from src/contract/api by \`npm run generate\`; do not edit. -->
# PortForward, field by field

\`apiVersion: ${apiVersion}\`, \`kind: ${kind}\` (short name \`${shortName}\`). ${schema.description ?? ''}

The same text is in the cluster: \`kubectl explain ${shortName}.spec.ssh\`. \`portforward check -f FILE\` judges a document without a cluster.
A field that is not listed here is refused. Rules are judged by the API server when a document is applied.

${rules(schema)}
${sections('spec', spec).join('\n')}
${sections('status', status).join('\n')}`;
}

/** A section for the object at `path` and, after it, one for each object below. */
function sections(path: string, node: Structural): string[] {
  const target = node.type === 'array' ? node.items : node;
  const name = node.type === 'array' ? `${path}[]` : path;
  if (target?.properties === undefined) return [];
  const rows = Object.entries(target.properties).map(([key, property]) => row(key, property, target));
  const below = Object.entries(target.properties).flatMap(([key, property]) =>
    foreign.has(key) ? [] : sections(`${name}.${key}`, property),
  );
  const head = `## ${name}\n\n${node.description === undefined ? '' : `${node.description}\n\n`}`;
  const table = `| Field | Type | Default | Meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  return [`${head}${table}${node === target ? rules(node) : rules(node, target)}`, ...below];
}

function row(key: string, property: Structural, parent: Structural): string {
  const required = parent.required?.includes(key) ? '**required**' : defaultText(property);
  const hint = foreign.has(key) ? ' Fields as in Kubernetes.' : '';
  return `| \`${key}\` | ${typeText(property)} | ${required} | ${cell(property.description ?? '')}${hint} |`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function defaultText({ default: value }: Structural): string {
  if (value === undefined) return '';
  const written = JSON.stringify(value);
  return written === '{}' ? '' : `\`${written}\``;
}

function typeText(node: Structural): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  if (node['x-kubernetes-int-or-string']) return 'quantity';
  switch (node.type) {
    case 'string':
      return node.format === undefined ? `text, ${range(node.minLength, node.maxLength)}` : node.format;
    case 'integer':
      return `integer, ${range(node.minimum, node.maximum)}`;
    case 'array':
      return `list of ${node.items === undefined ? '' : typeText(node.items).split(',')[0]}, ${range(node.minItems, node.maxItems)}`;
    case 'object':
      return node.additionalProperties === undefined ? 'object' : `map, at most ${node.maxProperties ?? 0}`;
    default:
      return node.type ?? '';
  }
}

function range(min: number | undefined, max: number | undefined): string {
  if (max === undefined) return `from ${min ?? 0}`;
  return min === undefined ? `at most ${max}` : `${min} to ${max}`;
}

/** The rules of an object and of its fields that have no section of their own, one line each. */
function rules(...nodes: readonly Structural[]): string {
  const lines = nodes.flatMap((node) => [
    ...ownRules(node),
    ...Object.entries(node.properties ?? {}).flatMap(leafRules),
  ]);
  return lines.length === 0 ? '' : `\nRules:\n\n${lines.map((line) => `- ${cell(line)}`).join('\n')}\n`;
}

const ownRules = ({ 'x-kubernetes-validations': validations = [] }: Structural): string[] =>
  validations.map(({ message, fieldPath }) =>
    fieldPath === undefined ? message : `\`${fieldPath.slice(1)}\`: ${message}`,
  );

function leafRules([key, property]: readonly [string, Structural]): string[] {
  const hasSection = property.properties !== undefined || property.items?.properties !== undefined;
  if (hasSection) return [];
  const items = property.items ?? property.additionalProperties ?? {};
  return [property, items].flatMap(ownRules).map((line) => `\`${key}\`: ${line}`);
}
