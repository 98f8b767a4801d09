// The one executable: each command loads only its own code, so that a tunnel pod never holds the Kubernetes client in memory, and the
// controller never ssh. Started under the name kubectl-portforward it is kubectl's plugin.
// Neighbours: cli/, one file for each command; cli/kubectl/, the plugin.
// First of all: what is imported later takes a while to load.
import './process/early-signals.ts';
import { basename } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { isKubectlFailed, isUsageError } from './cli/usage-error.ts';

const program = new Command('portforward')
  .description('Tunnels to private databases, for Kubernetes and for laptops.')
  .option('-V, --version', 'which build this is, as the command version says')
  .showHelpAfterError('(see portforward help)')
  .enablePositionalOptions()
  .exitOverride();

const file = (): Option =>
  new Option('-f, --filename <file...>', 'YAML files or directories; - is standard input').makeOptionMandatory();

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
  .action(async (flags: SidecarFlags) => {
    const { sidecar } = await import('./cli/sidecar.ts');
    await sidecar({
      awsEndpoints: flags.allowedAwsEndpoint,
      flyApiUrl: flags.flyApiUrl,
      insecureHostKeys: flags.allowInsecureHostKeys === true,
      nodeRole: flags.allowNodeRole === true,
    });
  });

program
  .command('check')
  .description('the API server’s verdict on documents, without a cluster')
  .addOption(file())
  .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
  .action(async (options: { filename: string[]; output: 'text' | 'json' }) => {
    const { check } = await import('./cli/check.ts');
    const valid = check({ files: options.filename, output: options.output, print });
    if (!valid) process.exitCode = 1;
  });

interface OpenFlags {
  readonly filename: string[];
  readonly address: string;
  readonly port: string[];
  readonly secret: string[];
  readonly secretsDir?: string;
  readonly context?: string;
  readonly name?: string;
  readonly allowInsecureHostKeys?: true;
  readonly allowEndpoint: string[];
  readonly verbose?: true;
}

program
  .command('open')
  .description('the tunnel of a document on this machine, without a cluster')
  .addOption(file())
  .option('--address <address>', 'where to listen; 0.0.0.0 shares it with the local network', '127.0.0.1')
  .option('--port <local:port>', 'another local port for a port of the document; may be repeated', each, [])
  .option(
    '--secret <name=path>',
    'NAME=DIRECTORY with the files of a Secret, one per key, or NAME=FILE for a private key alone; may be repeated',
    each,
    [],
  )
  .option('--secrets-dir <directory>', 'a directory with a directory for each Secret')
  .option('--context <name>', 'take Secrets from the cluster of this kubeconfig context')
  .option('--name <name>', 'which PortForward, when the files hold several')
  .option('--allow-insecure-host-keys', 'accept hostKeyPolicy: InsecureIgnore')
  .option(
    '--allow-endpoint <url>',
    'an address besides AWS’s own that spec.ssm.endpoints may name; may be repeated',
    each,
    [],
  )
  .option('-v, --verbose', 'write the log to standard error')
  .action(async (flags: OpenFlags) => {
    const { open } = await import('./cli/open.ts');
    await open({
      files: flags.filename,
      address: flags.address,
      ports: flags.port,
      secrets: flags.secret,
      secretsFolder: flags.secretsDir,
      context: flags.context,
      name: flags.name,
      allowInsecureHostKeys: flags.allowInsecureHostKeys === true,
      allowedEndpoints: flags.allowEndpoint,
      verbose: flags.verbose === true,
      print,
      complain,
    });
  });

interface DoctorFlags extends Omit<OpenFlags, 'address' | 'port'> {
  readonly output: 'text' | 'json';
}

program
  .command('doctor')
  .description('the way from this machine to each destination of a document, hop by hop, until the first fault')
  .addOption(file())
  .option(
    '--secret <name=path>',
    'NAME=DIRECTORY with the files of a Secret, one per key, or NAME=FILE for a private key alone; may be repeated',
    each,
    [],
  )
  .option('--secrets-dir <directory>', 'a directory with a directory for each Secret')
  .option('--context <name>', 'take Secrets from the cluster of this kubeconfig context')
  .option('--name <name>', 'which PortForward, when the files hold several')
  .option('--allow-insecure-host-keys', 'accept hostKeyPolicy: InsecureIgnore')
  .option(
    '--allow-endpoint <url>',
    'an address besides AWS’s own that spec.ssm.endpoints may name; may be repeated',
    each,
    [],
  )
  .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
  .option('-v, --verbose', 'write the log to standard error')
  .action(async (flags: DoctorFlags) => {
    const { doctor } = await import('./cli/doctor.ts');
    await doctor({
      files: flags.filename,
      secrets: flags.secret,
      secretsFolder: flags.secretsDir,
      context: flags.context,
      name: flags.name,
      allowInsecureHostKeys: flags.allowInsecureHostKeys === true,
      allowedEndpoints: flags.allowEndpoint,
      output: flags.output,
      verbose: flags.verbose === true,
      print,
      complain,
    });
  });

interface IamFlags {
  readonly filename: string[];
  readonly name?: string;
  readonly account?: string;
  readonly role?: 'tunnel' | 'assumed';
  readonly trust?: true;
  readonly namespace?: string;
  readonly oidcIssuer?: string;
  readonly tunnelRole?: string;
  readonly output: 'text' | 'json';
}

program
  .command('iam')
  .description('the least IAM policies for documents with spec.ssm, as JSON for the AWS command line')
  .addOption(file())
  .option('--name <name>', 'which PortForward, when the files hold several')
  .option('--account <id>', 'the AWS account of the node, if no role in the document contains it; default: any')
  .addOption(
    new Option('--role <role>', 'only the policies of one role: the tunnel’s own, or the one it assumes').choices([
      'tunnel',
      'assumed',
    ]),
  )
  .option('--trust', 'trust policies (who may assume the role) instead of permissions')
  .option('--namespace <namespace>', 'for a trust policy: the namespace of documents without one')
  .option('--oidc-issuer <issuer>', 'for a trust policy: the cluster’s issuer (IRSA); without it EKS Pod Identity')
  .option('--tunnel-role <arn>', 'for the assumed role’s trust policy: the tunnel’s own role or user')
  .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
  .action(async (flags: IamFlags) => {
    const { iam } = await import('./cli/iam.ts');
    const complete = iam({
      files: flags.filename,
      name: flags.name,
      account: flags.account,
      role: flags.role,
      trust: flags.trust === true,
      namespace: flags.namespace,
      oidcIssuer: flags.oidcIssuer,
      tunnelRole: flags.tunnelRole,
      output: flags.output,
      print,
      complain,
    });
    if (!complete) process.exitCode = 1;
  });

program
  .command('version')
  .description('which build this is')
  .option('--check-crypto', 'fail unless ssh’s native crypto is in this build')
  .action(async (options: { checkCrypto?: true }) => {
    const { hasNativeCrypto, version } = await import('./cli/version.ts');
    print(`portforward ${version}, Node ${process.versions.node}`);
    if (options.checkCrypto === undefined) return;
    const native = await hasNativeCrypto();
    print(native ? 'native crypto: present' : 'native crypto: MISSING, ssh would run on the slower JavaScript code');
    if (!native) process.exitCode = 1;
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

const startedAs = [process.argv0, process.argv[1]].map((path) => basename(path ?? ''));
const isPlugin = startedAs.some((name) => /^kubectl-portforward(\.[a-z]+)?$/.test(name));

async function run(): Promise<void> {
  if (!isPlugin) return void (await program.parseAsync(words, { from: 'user' }));
  const { pluginProgram } = await import('./cli/kubectl/plugin.ts');
  await pluginProgram({ print, complain }).parseAsync(words, { from: 'user' });
}

// Not awaited: the bundle is CommonJS. Any error but those that are foreseen is a bug, and ends the process with its stack.
void run().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    // commander has already printed the mistake, or the requested help.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
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

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
