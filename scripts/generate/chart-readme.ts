// helm/README.md, which registries and `helm show readme` show: every value of helm/values.yaml with its default and the comment above it.
// Neighbours: helm/values.yaml (the source), ../generate.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isNode, isScalar, parse, parseDocument, type Scalar } from 'yaml';

const source = join(import.meta.dirname, '..', '..', 'helm', 'values.yaml');

interface Row {
  readonly path: string;
  readonly value: string;
  readonly meaning: string;
}

interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

const head = (version: string): string => `<!-- Generated from values.yaml: npm run generate -->
# The chart of PortForward

The operator and its CustomResourceDefinition: a \`PortForward\` puts ports of a private network behind a Service, carried by a tunnel
(SSH, AWS Session Manager). Needs Kubernetes 1.31 or later and Helm 3.14 or later.

\`\`\`sh
helm install portforward oci://registry.example.com/charts/portforward --version ${version} \\
  --namespace portforward-system --create-namespace --set image.repository=registry.example.com/portforward
\`\`\`

Values that are misspelt are refused. The CustomResourceDefinition is installed and upgraded with the chart, and stays when it is uninstalled.
`;

/** The page as text. */
export function chartReadme(): string {
  const { version } = parse(readFileSync(join(source, '..', 'Chart.yaml'), 'utf8')) as { version: string };
  const sections = sectionsOf(readFileSync(source, 'utf8'));
  const tables = sections.map(
    ({ title, rows }) =>
      `\n## ${title}\n\n| Value | Default | Meaning |\n|---|---|---|\n${rows
        .map(({ path, value, meaning }) => `| \`${path}\` | \`${value}\` | ${meaning} |\n`)
        .join('')}`,
  );
  return head(version) + tables.join('');
}

/** A line of `# --- Title ---` begins a section; the values before the first one are about the image. */
function sectionsOf(text: string): readonly Section[] {
  const sections: { title: string; rows: Row[] }[] = [{ title: 'The image', rows: [] }];
  for (const { key, value } of pairsOf(parseDocument(text).contents)) {
    const title = /^ -+ (.+?) -+$/m.exec(key.commentBefore ?? '')?.[1];
    if (title !== undefined) sections.push({ title, rows: [] });
    sections.at(-1)?.rows.push(...rowsOf(text, String(key.value), value, commentOf(key.commentBefore)));
  }
  return sections;
}

function pairsOf(node: unknown): { readonly key: Scalar; readonly value: unknown }[] {
  if (!isMap(node)) throw new Error('helm/values.yaml: a mapping was expected');
  return node.items.map(({ key, value }) => {
    if (!isScalar(key)) throw new Error('helm/values.yaml: a key is a word');
    return { key, value };
  });
}

/** One row for each value that is no block of others. The comment of a block is that of its first value, such as `enabled`. */
function rowsOf(text: string, path: string, node: unknown, comment: string): Row[] {
  if (!isMap(node) || node.flow === true) {
    const range = isNode(node) ? node.range : undefined;
    return [{ path, value: text.slice(range?.[0], range?.[1]).trim(), meaning: comment.replaceAll('|', '\\|') }];
  }
  return pairsOf(node).flatMap(({ key, value }, index) => {
    // The comment above the first of a block is kept with the block.
    const own = commentOf(key.commentBefore ?? (index === 0 ? node.commentBefore : undefined));
    return rowsOf(text, `${path}.${String(key.value)}`, value, own === '' && index === 0 ? comment : own);
  });
}

/** The last paragraph: titles and what is said of the whole file stand before it. */
function commentOf(comment: string | null | undefined): string {
  const last = (comment ?? '').split('\n\n').at(-1) ?? '';
  const lines = last.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => !/^-+ .+ -+$/.test(line))
    .join(' ')
    .trim();
}
