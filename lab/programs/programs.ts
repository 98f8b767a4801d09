// The Go programs of the test cluster, built by one `go build` from the module in go/ and kept in the cache's `bin`.
// Neighbours: go.ts finds the compiler; api-server.ts and host-cluster.ts start the programs.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, cachedProgram } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { command } from '../process/command.ts';
import { withLock } from '../process/lock.ts';
import { findGo, type Go, goBuild } from './go.ts';

export const kubernetesVersion = 'v1.36.3';
const helmVersion = 'v3.21.4';

/** Program → its package. Those with a dot are of this module. */
const packages = {
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  kubelet: 'k8s.io/kubernetes/cmd/kubelet',
  etcd: './etcd',
  coredns: './coredns',
  helm: 'helm.sh/helm/v3/cmd/helm',
} as const satisfies Readonly<Record<string, string>>;

export type ProgramName = keyof typeof packages;

export const allPrograms = Object.keys(packages) as readonly ProgramName[];

/** What the linker sets, so that the programs report their version; a program without the variable ignores it. */
const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(kubernetesVersion) ?? [];
const variables: Readonly<Record<string, string>> = {
  'k8s.io/component-base/version.gitVersion': kubernetesVersion,
  'k8s.io/component-base/version.gitMajor': major,
  'k8s.io/component-base/version.gitMinor': minor,
  'k8s.io/component-base/version.gitTreeState': 'clean',
  'helm.sh/helm/v3/internal/version.version': helmVersion,
};

const linkerFlags = ['-s', '-w', ...Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`)].join(' ');

const flags = ['-trimpath', `-ldflags=${linkerFlags}`];

const moduleDirectory = join(import.meta.dirname, 'go');

/** Seconds on two cores with nothing kept from before: all programs, and what a part of them takes. */
const usualSeconds = (names: readonly ProgramName[]): number => (names.includes('kube-controller-manager') ? 540 : 300);

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
  const work = async (): Promise<void> => {
    const missing = missingPrograms(names);
    if (missing.length > 0) await build(missing, await findGo(log, signal), log, signal);
  };
  await withLock(lock, work, { onWait, ...(signal === undefined ? {} : { signal }) });
}

async function build(names: readonly ProgramName[], go: Go, log: Log, signal: AbortSignal | undefined): Promise<void> {
  const bin = cachedProgram('');
  mkdirSync(bin, { recursive: true });
  // A build that was killed has left its own; only one runs at a time.
  for (const left of globSync('.unfinished-*', { cwd: bin })) rmSync(join(bin, left), { recursive: true, force: true });
  const unfinished = mkdtempSync(join(bin, '.unfinished-'));
  const targets = names.map((name) => packages[name]);
  const call = { cwd: moduleDirectory, ...(signal === undefined ? {} : { signal }) };
  try {
    const wanted = await step(log, 'fetch the Go modules', () => packageCount(go, targets, call));
    const what = `compile ${names.join(', ')}`;
    const compile = async (tell: (detail: string) => void): Promise<void> => {
      let compiled = 0;
      const onStderrLine = (line: string): void => {
        if (!/^[\w./~-]+$/.test(line)) return;
        compiled += 1;
        tell(`${compiled} of at most ${wanted} packages`);
      };
      const args = ['-v', ...flags, '-o', `${unfinished}/`, ...targets];
      await goBuild(go, args, { ...call, timeoutMs: 120 * 60_000, onStderrLine });
    };
    await step(log, what, compile, { usualSeconds: usualSeconds(names) });
    for (const name of names) {
      rmSync(stampOf(name), { force: true });
      renameSync(join(unfinished, name), cachedProgram(name));
      writeFileSync(stampOf(name), fingerprint(name));
    }
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** How many packages the targets consist of; on the way Go downloads the modules that they lie in. */
async function packageCount(
  go: Go,
  targets: readonly string[],
  options: { readonly cwd: string; readonly signal?: AbortSignal },
): Promise<number> {
  const list = await command(go.program, ['list', '-deps', ...targets], {
    ...options,
    interrupt: true,
    env: go.env,
    timeoutMs: 30 * 60_000,
  });
  return list.trim().split('\n').length;
}

function isCurrent(name: ProgramName): boolean {
  const stamp = stampOf(name);
  return existsSync(cachedProgram(name)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(name);
}

const stampOf = (name: ProgramName): string => cachedProgram(`.${name}.version`);

/** Identifies a build of a program: a hash of everything that decides what it does, and of the platform that it runs on. */
export function fingerprint(name: ProgramName): string {
  const target: string = packages[name];
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${target} ${flags.join(' ')}`);
  const own = target.startsWith('.') ? [`${target}/*.go`] : [];
  for (const file of globSync(['go.mod', 'go.sum', ...own], { cwd: moduleDirectory }).toSorted()) {
    hash.update(`\n${file}\n`).update(readFileSync(join(moduleDirectory, file)));
  }
  return hash.digest('hex');
}
