// The scripts for Argo CD in docs/gitops.md, from the files in the form that Argo CD's own repository has; the rest of the page is written
// by hand.
// Neighbours: ../generate.ts writes it; examples/argo-cd/resource_customizations/ is its source, and has test data beside each script.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

const root = join(import.meta.dirname, '..', '..');
const scripts = join(root, 'examples', 'argo-cd', 'resource_customizations', 'portforward.dev', 'PortForward');

const begin = '<!-- generated: scripts -->\n';
const end = '<!-- end -->\n';

export function gitopsPage(): string {
  const page = readFileSync(join(root, 'docs', 'gitops.md'), 'utf8');
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error('docs/gitops.md lacks the marks of its scripts');
  return `${before}${begin}\n\`\`\`yaml\n${configuration()}\`\`\`\n\n${end}${after}`;
}

const script = (...path: readonly string[]): string => readFileSync(join(scripts, ...path), 'utf8');

/** The keys of the ConfigMap `argocd-cm`. */
function configuration(): string {
  const names = readdirSync(join(scripts, 'actions'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'testdata')
    .map(({ name }) => name)
    .toSorted();
  const definitions = names.map((name) => ({ name, 'action.lua': script('actions', name, 'action.lua') }));
  const actions = { 'discovery.lua': script('actions', 'discovery.lua'), definitions };
  const written = { lineWidth: 0, blockQuote: 'literal' } as const;
  return stringify(
    {
      'resource.customizations.health.portforward.dev_PortForward': script('health.lua'),
      'resource.customizations.actions.portforward.dev_PortForward': stringify(actions, written),
    },
    written,
  );
}
