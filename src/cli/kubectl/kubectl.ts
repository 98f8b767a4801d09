// kubectl itself, called with the flags that the person gave: so kubeconfig, sign-in helpers, proxies and impersonation work here as in
// every other kubectl command, and this program never holds a cluster's credentials.
// Neighbours: plugin.ts reads the flags, every command of this folder calls it.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { KubectlFailed, UsageError } from '../usage-error.ts';

/** kubectl's own flags that choose cluster, person and namespace. Those with a value first, then those without. */
const withValue = [
  ['-n, --namespace <namespace>', 'namespace of the tunnel'],
  ['--context <name>', 'context of the kubeconfig'],
  ['--kubeconfig <file>', 'path of the kubeconfig'],
  ['--cluster <name>', 'cluster of the kubeconfig'],
  ['--user <name>', 'user of the kubeconfig'],
  ['-s, --server <url>', 'address of the API server'],
  ['--token <token>', 'bearer token'],
  ['--as <user>', 'user to impersonate'],
  ['--as-uid <uid>', 'UID to impersonate'],
  ['--certificate-authority <file>', 'certificate of the API server’s authority'],
  ['--client-certificate <file>', 'client certificate'],
  ['--client-key <file>', 'client key'],
  ['--tls-server-name <name>', 'name in the API server’s certificate'],
  ['--request-timeout <time>', 'how long one request may take'],
  ['--cache-dir <directory>', 'kubectl’s cache'],
] as const;

const repeatable = [['--as-group <group>', 'group to impersonate; may be repeated']] as const;
const withoutValue = [['--insecure-skip-tls-verify', 'do not check the API server’s certificate']] as const;

const allOptions = (): readonly Option[] => [
  ...[...withValue, ...withoutValue].map(([flags, description]) => new Option(flags, description)),
  ...repeatable.map(([flags, description]) =>
    new Option(flags, description).argParser((value: string, before: string[] | undefined) => [
      ...(before ?? []),
      value,
    ]),
  ),
];

/** Adds kubectl's own flags to a command. They are not listed in its help: `kubectl options` does. */
export function addKubectlFlags(command: Command): Command {
  for (const option of allOptions()) {
    const common = ['--namespace', '--context', '--kubeconfig'].includes(option.long ?? '');
    command.addOption(common ? option : option.hideHelp());
  }
  return command;
}

/** The flags that the person gave to this command or before its name, as kubectl takes them. */
export function kubectlFlagsOf(command: Command): readonly string[] {
  const given: Readonly<Record<string, boolean | string | readonly string[] | undefined>> = command.optsWithGlobals();
  return allOptions().flatMap((option) => {
    const value = given[option.attributeName()];
    if (value === undefined || value === false) return [];
    if (value === true) return [option.long ?? ''];
    return [value].flat().map((each) => `${option.long}=${each}`);
  });
}

/** Text that kubectl prints is bounded: a list of 10,000 PortForwards with their status is some 60 MB. */
const maxOutputBytes = 256 * 1024 * 1024;

const isWindows = process.platform === 'win32';

/** Runs kubectl until our end of its input closes, which the kernel does even after SIGKILL; kubectl itself would go on. */
const whileInputIsOpen = `
exec 3<&0
"$0" "$@" </dev/null 3<&- &
kubectl=$!
(while read -r _ <&3; do :; done; kill "$kubectl") 2>/dev/null &
watch=$!
exec 3<&-
wait "$kubectl"
end=$?
kill "$watch" 2>/dev/null
exit "$end"`;

/** A kubectl that goes on until it is disposed of, or until this process ends, however that ends. */
export interface BoundKubectl extends Disposable {
  readonly output: NodeJS.ReadableStream;
}

export class Kubectl {
  readonly #flags: readonly string[];

  constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  /** The start of a command that the person would type to go on in the same place. */
  get sameFlags(): string {
    return this.#flags.map((flag) => ` ${flag}`).join('');
  }

  /** Resolves with standard output. @throws KubectlFailed with what kubectl said, UsageError where there is no kubectl. */
  async text(args: readonly string[], input?: string): Promise<string> {
    const child = this.start(args, [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe']);
    child.stdin?.on('error', () => undefined).end(input);
    const [said, complaint, end] = await Promise.all([
      bounded(child),
      child.stderr === null ? '' : text(child.stderr),
      endOf(child),
    ]);
    if (end !== 0) throw new KubectlFailed(complaint.trim() === '' ? `kubectl ended with ${end}` : complaint.trim());
    return said;
  }

  async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.text([...args, '--output=json'])) as T;
  }

  /** Runs it on the person's own terminal and resolves with its exit code. @throws UsageError where there is no kubectl. */
  async onTerminal(args: readonly string[]): Promise<number> {
    const end = await endOf(this.start(args, 'inherit'));
    return typeof end === 'number' ? end : 1;
  }

  /** Starts one that would never end by itself. The caller disposes of it; what it complains about is dropped. */
  startWhileWeLive(args: readonly string[]): BoundKubectl {
    const [verb = '', ...rest] = args;
    const words = [verb, ...this.#flags, ...rest];
    // Windows has no such shell: there it outlives a process that is killed.
    const [program = '', ...called] = isWindows
      ? ['kubectl', ...words]
      : ['sh', '-c', whileInputIsOpen, 'kubectl', ...words];
    const child = spawn(program, called, { stdio: ['pipe', 'pipe', 'ignore'] });
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    const end = (): void => {
      child.stdin.destroy();
      if (isWindows) child.kill();
    };
    return { output: child.stdout, [Symbol.dispose]: end };
  }

  /** Starts it; the caller owns the process. */
  start(args: readonly string[], stdio: StdioOptions): ChildProcess {
    const [verb = '', ...rest] = args;
    return spawn('kubectl', [verb, ...this.#flags, ...rest], { stdio });
  }
}

async function bounded({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) return '';
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stdout as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxOutputBytes)
      throw new KubectlFailed('kubectl printed more than 256 MiB: name a tunnel or a namespace');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** Its exit code, or the signal that ended it. @throws UsageError if it could not be started. */
export async function endOf(child: ChildProcess): Promise<number | string> {
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return code ?? signal ?? 1;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new UsageError('kubectl is not in PATH: this command calls it', { cause });
  }
}
