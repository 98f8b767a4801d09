// The one executable: each command loads only its own code, so that a tunnel pod never holds the Kubernetes client in memory, and the
// controller never ssh. Started under the name kubectl-portforward it is kubectl's plugin.
// Neighbours: document-commands.ts (the commands about documents); cli/, one file for each command; cli/kubectl/, the plugin.
// First of all: what is imported later takes a while to load.
import './process/early-signals.ts';
import { basename } from 'node:path';
import { Argument, Command } from 'commander';
import { isKubectlFailed, isUsageError } from './cli/usage-error.ts';
import type { VerifyInstallFlags } from './cli/verify-install.ts';
import { addDocumentCommands } from './document-commands.ts';

const program = new Command('portforward')
  .description('Tunnels to private databases, for Kubernetes and for laptops.')
  .option('-V, --version', 'which build this is, as the command version says')
  .showHelpAfterError('(see portforward help)')
  .enablePositionalOptions()
  .exitOverride();

program
  .command('controller')
  .description('the operator: watches PortForwards and keeps their tunnels (--help lists its flags)')
  .helpOption(false)
  .allowUnknownOption()
  .argument('[flags...]')
  .action(async (flags: string[]) => {
    const { controller } = await import('./cli/controller.ts');
    await controller(flags, print);
  });

const each = (value: string, before: string[]): string[] => [...before, value];

interface SidecarFlags {
  readonly allowInsecureHostKeys?: true;
  readonly allowNodeRole?: true;
  readonly allowedAwsEndpoint: string[];
  readonly flyApiUrl: string;
  readonly nativeDataPath: boolean;
  readonly traceEndpoint: string;
  readonly traceHeader: string[];
}

program
  .command('sidecar')
  .description('one tunnel, as its pods run it: configured by the environment')
  .option('--allow-insecure-host-keys', 'obey hostKeyPolicy: InsecureIgnore')
  .option('--allow-node-role', 'let an ssm tunnel use the AWS role of its node')
  .option(
    '--allowed-aws-endpoint <url>',
    'an address besides AWS’s own that may get signed requests; may be repeated',
    each,
    [],
  )
  .option('--fly-api-url <url>', 'another address of fly.io’s API', '')
  .option('--no-native-data-path', 'carry the bytes of ssh in JavaScript alone')
  .option('--trace-endpoint <url>', 'where traces are sent by OTLP (HTTP with JSON)', '')
  .option('--trace-header <name>', 'a header that is sent with traces; may be repeated', each, [])
  .action(async (flags: SidecarFlags) => {
    const { sidecar } = await import('./cli/sidecar.ts');
    const permissions = {
      awsEndpoints: flags.allowedAwsEndpoint,
      flyApiUrl: flags.flyApiUrl,
      insecureHostKeys: flags.allowInsecureHostKeys === true,
      nodeRole: flags.allowNodeRole === true,
    };
    const tracing = { endpoint: flags.traceEndpoint, headers: flags.traceHeader };
    await sidecar({ permissions, tracing, nativeDataPath: flags.nativeDataPath });
  });

program
  .command('verify-install')
  .description('whether an install works in this cluster: what helm test runs')
  .requiredOption('--lease <namespace/name>', 'the Lease of its controllers')
  .requiredOption('--try-in <namespace>', 'where PortForwards are tried in dry runs')
  .option('--class-name <name>', 'the class of the install', '')
  .option('--references-policy', 'the install has the policy on Secrets that a PortForward names')
  .option('--kubeconfig <file>', 'default: the account of the pod')
  .action(async (flags: VerifyInstallFlags) => {
    const { verifyInstall } = await import('./cli/verify-install.ts');
    await verifyInstall(flags, { print, complain });
  });

addDocumentCommands(program, { print, note, complain });

program
  .command('version')
  .description('which build this is')
  .option('--check-crypto', 'fail unless ssh’s native crypto is in this build')
  .option('--check-data-path', 'fail unless the native engine for the bytes of ssh is in this build')
  .action(async (options: { checkCrypto?: true; checkDataPath?: true }) => {
    const { hasNativeCrypto, version, whyNoNativeDataPath } = await import('./cli/version.ts');
    print(`portforward ${version}, Node ${process.versions.node}`);
    if (options.checkCrypto === true) {
      const native = await hasNativeCrypto();
      print(native ? 'native crypto: present' : 'native crypto: MISSING, ssh would run on the slower JavaScript code');
      if (!native) process.exitCode = 1;
    }
    if (options.checkDataPath === true) {
      const because = await whyNoNativeDataPath();
      print(because === undefined ? 'native data path: present' : `native data path: MISSING, ${because}`);
      if (because !== undefined) process.exitCode = 1;
    }
  });

// The reader of a pipe may end first, as `head` does, and a terminal may be closed, which SIGHUP reports.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && !(error.code === 'EIO' && stream.isTTY)) throw error;
  });
}

const words = process.argv.slice(2);
// People expect this option; the command behind it is loaded only if it is used.
if (words[0] === '--version' || words[0] === '-V') words[0] = 'version';

program
  .command('completion')
  .description('completion for a shell: source <(portforward completion bash)')
  .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']))
  .action(async (shell: string) => {
    const { completionScript } = await import('./cli/completion.ts');
    process.stdout.write(completionScript(shell));
  });

const startedAs = [process.argv0, process.argv[1]].map((path) => basename(path ?? ''));
/** kubectl asks a program of the second name what may stand at the end of a line. */
const pluginName = startedAs.find((name) => /^kubectl(-|_complete-)portforward(\.[a-z]+)?$/.test(name));
const isPlugin = pluginName !== undefined;
const completes = words[0] === '__complete' || pluginName?.startsWith('kubectl_complete-') === true;

async function run(): Promise<void> {
  if (isPlugin) {
    const { completePlugin, pluginProgram } = await import('./cli/kubectl/plugin.ts');
    if (completes) await completePlugin(words, print);
    else await pluginProgram({ print, complain }).parseAsync(words, { from: 'user' });
  } else if (completes) {
    const { candidates } = await import('./cli/completion.ts');
    for (const candidate of await candidates(program, words.slice(1))) print(candidate);
  } else await program.parseAsync(words, { from: 'user' });
}

// Not awaited: the bundle is CommonJS. Any error but those that are foreseen is a bug, and ends the process with its stack.
void run().catch((error: unknown) => {
  // By name: the plugin's bundle has a copy of commander of its own.
  if (error instanceof Error && error.name === 'CommanderError') {
    // commander has already printed the mistake, or the requested help.
    process.exitCode = 'exitCode' in error && error.exitCode === 0 ? 0 : 2;
    return;
  }
  if (isKubectlFailed(error)) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  if (!isUsageError(error)) throw error;
  complain(error.message);
  process.exitCode = 2;
});

function complain(line: string): void {
  process.stderr.write(`${isPlugin ? 'kubectl portforward' : 'portforward'}: ${line}\n`);
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
