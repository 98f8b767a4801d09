// `npm run --silent manifests [-- --namespace NAME --set key=value --values FILE]`: the whole install as one plain manifest on standard
// output, for Kustomize and for clusters without Helm. It is the chart, rendered, so the two never differ.
// Neighbours: helm/ (the chart); lab/programs builds a Helm where none is.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { findHelm } from '../lab/programs/find-program.ts';
import { ensurePrograms, kubernetesVersion } from '../lab/programs/programs.ts';

const { values } = parseArgs({
  options: {
    namespace: { type: 'string', default: 'portforward-system' },
    set: { type: 'string', multiple: true, default: [] },
    values: { type: 'string', multiple: true, default: [] },
  },
});

if (findHelm() === undefined) await ensurePrograms(['helm'], { log: (line) => console.error(line) });
const { status, stdout } = spawnSync(
  findHelm() ?? 'helm',
  [
    'template',
    'portforward',
    join(import.meta.dirname, '..', 'helm'),
    '--namespace',
    values.namespace,
    '--kube-version',
    kubernetesVersion,
    // They are for helm test, which a plain manifest has not.
    '--skip-tests',
    ...values.set.flatMap((value) => ['--set', value]),
    ...values.values.flatMap((file) => ['--values', file]),
  ],
  { encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'inherit'] },
);
if (status !== 0) process.exit(status ?? 1);
const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: values.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
};
// Nothing here is managed by Helm, and a label that says so would mislead.
process.stdout.write(
  `${stringify(namespace)}${stdout.replaceAll('app.kubernetes.io/managed-by: Helm', 'app.kubernetes.io/managed-by: manifest')}`,
);
