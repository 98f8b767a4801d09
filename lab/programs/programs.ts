// The Go programs of the test cluster, built once per version from the modules in go/ and kept in the cache's `bin`.
// Neighbours: go.ts finds the compiler; api-server.ts and host-cluster.ts start the programs.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, cachedProgram } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { withLock } from '../process/lock.ts';
import { findGo, type Go, goBuild } from './go.ts';

export const kubernetesVersion = 'v1.36.3';
const helmVersion = 'v3.19.0';

interface Recipe {
  /** The folder in go/ whose go.mod pins it. */
  readonly module: string;
  readonly package: string;
  /** Values that the linker sets, so that the program tells its version. */
  readonly values?: Readonly<Record<string, string>>;
  /** What a first build took on two cores, for the person who waits. */
  readonly usual: string;
}

const kubernetes = (name: string, usual: string): Recipe => ({
  module: 'kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  values: {
    'k8s.io/component-base/version.gitVersion': kubernetesVersion,
    'k8s.io/component-base/version.gitMajor': kubernetesVersion.slice(1).split('.')[0] ?? '',
    'k8s.io/component-base/version.gitMinor': kubernetesVersion.split('.')[1] ?? '',
    'k8s.io/component-base/version.gitTreeState': 'clean',
  },
  usual,
});

/** In build order: the first of Kubernetes compiles what the others share. */
const recipes = {
  'kube-apiserver': kubernetes('kube-apiserver', 'about 5 minutes the first time'),
  kubectl: kubernetes('kubectl', 'about 20 s'),
  kubelet: kubernetes('kubelet', 'about 1 minute'),
  'kube-controller-manager': kubernetes('kube-controller-manager', 'about 1 minute'),
  'kube-scheduler': kubernetes('kube-scheduler', 'about 15 s'),
  'kube-proxy': kubernetes('kube-proxy', 'about 15 s'),
  etcd: { module: 'etcd', package: '.', usual: 'about 40 s' },
  coredns: { module: 'coredns', package: 'github.com/coredns/coredns', usual: 'about 2 minutes' },
  helm: {
    module: 'helm',
    package: 'helm.sh/helm/v3/cmd/helm',
    values: { 'helm.sh/helm/v3/internal/version.version': helmVersion },
    usual: 'about 2 minutes',
  },
} as const satisfies Readonly<Record<string, Recipe>>;

export type ProgramName = keyof typeof recipes;

export const allPrograms = Object.keys(recipes) as readonly ProgramName[];

/** Those of the named programs that the cache lacks or holds in another version. */
export function missingPrograms(names: readonly ProgramName[] = allPrograms): ProgramName[] {
  return names.filter((name) => !isCurrent(name));
}

/** Returns when each named program is in the cache in its pinned version; what is there costs nothing. @throws Error with the compiler's words. */
export async function ensurePrograms(
  names: readonly ProgramName[],
  options: { readonly log: Log; readonly signal?: AbortSignal },
): Promise<void> {
  if (missingPrograms(names).length === 0) return;
  const { log, signal } = options;
  const onWait = (holder: number): void => log(`  … waiting for process ${holder}, which builds`);
  const lock = join(cacheDirectory(), 'build.lock');
  await withLock(
    lock,
    async () => {
      const missing = missingPrograms(names);
      if (missing.length === 0) return;
      const go = await findGo(log, signal);
      for (const name of allPrograms.filter((one) => missing.includes(one))) {
        await step(log, `build ${name} (${recipes[name].usual})`, () => build(name, go, signal));
      }
    },
    { onWait, ...(signal === undefined ? {} : { signal }) },
  );
}

async function build(name: ProgramName, go: Go, signal: AbortSignal | undefined): Promise<void> {
  const recipe: Recipe = recipes[name];
  const output = cachedProgram(name);
  mkdirSync(join(output, '..'), { recursive: true });
  await goBuild(go, ['-trimpath', '-ldflags', linkerFlags(recipe), '-o', `${output}.new`, recipe.package], {
    cwd: moduleDirectory(recipe),
    timeoutMs: 60 * 60_000,
    ...(signal === undefined ? {} : { signal }),
  });
  renameSync(`${output}.new`, output);
  writeFileSync(stampOf(name), fingerprint(name));
}

function isCurrent(name: ProgramName): boolean {
  const stamp = stampOf(name);
  return existsSync(cachedProgram(name)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(name);
}

const stampOf = (name: ProgramName): string => join(cacheDirectory(), 'bin', `.${name}.version`);

/** Tells two builds of a program apart: everything that decides what it does, and the platform that it runs on. */
export function fingerprint(name: ProgramName): string {
  const recipe: Recipe = recipes[name];
  const hash = createHash('sha256').update(
    `${process.platform} ${process.arch} ${recipe.package} ${linkerFlags(recipe)}`,
  );
  const directory = moduleDirectory(recipe);
  for (const file of globSync(['go.mod', 'go.sum', '*.go'], { cwd: directory }).toSorted()) {
    hash.update(`\n${file}\n`).update(readFileSync(join(directory, file)));
  }
  return hash.digest('hex');
}

function linkerFlags(recipe: Recipe): string {
  const values = Object.entries(recipe.values ?? {}).map(([variable, value]) => `-X ${variable}=${value}`);
  return ['-s', '-w', ...values].join(' ');
}

function moduleDirectory(recipe: Recipe): string {
  return join(import.meta.dirname, 'go', recipe.module);
}
