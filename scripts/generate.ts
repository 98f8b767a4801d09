// Writes every generated file from its source in src/ or helm/values.yaml; `--check` writes nothing, names the stale ones and exits with 1.
// Neighbours: generate/ has one file per kind of output; check.ts runs this with --check.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { apiPage } from './generate/api-page.ts';
import { bastionPage } from './generate/bastion-page.ts';
import { chartReadme } from './generate/chart-readme.ts';
import { chartRules } from './generate/chart-rules.ts';
import { crdTemplate, crdYaml } from './generate/crd.ts';
import { operatorDashboard } from './generate/dashboards/operator.ts';
import { tunnelsDashboard } from './generate/dashboards/tunnels.ts';
import { errorsPage } from './generate/errors-page.ts';
import { gitopsPage } from './generate/gitops-page.ts';

const root = join(import.meta.dirname, '..');

const outputs: readonly { readonly path: string; readonly content: () => string }[] = [
  { path: 'crds/portforward.yaml', content: crdYaml },
  { path: 'helm/templates/crd.yaml', content: crdTemplate },
  { path: 'helm/templates/_rules.tpl', content: chartRules },
  { path: 'helm/README.md', content: chartReadme },
  { path: 'helm/files/dashboards/operator.json', content: operatorDashboard },
  { path: 'helm/files/dashboards/tunnels.json', content: tunnelsDashboard },
  { path: 'docs/reference/api.md', content: apiPage },
  { path: 'docs/errors.md', content: errorsPage },
  { path: 'docs/bastion.md', content: bastionPage },
  { path: 'docs/gitops.md', content: gitopsPage },
];

const checkOnly = process.argv.includes('--check');
const stale: string[] = [];
for (const { path, content } of outputs) {
  const file = join(root, path);
  const wanted = content();
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) continue;
  stale.push(path);
  if (checkOnly) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, wanted);
  console.log(`wrote ${path}`);
}
if (checkOnly && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run npm run generate`);
  process.exitCode = 1;
}
