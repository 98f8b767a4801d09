// The commands about documents in files, for laptops and CI: each loads its own code when it is called.
// Neighbours: main.ts calls this; cli/, one file for each command.
import { type Command, Option } from 'commander';

interface Output {
  readonly print: (line: string) => void;
  /** Prints beside what is printed, to standard error. */
  readonly note: (line: string) => void;
  /** The same, behind the program's name. */
  readonly complain: (line: string) => void;
}

export function addDocumentCommands(program: Command, output: Output): void {
  addCheck(program, output);
  addOpen(program, output);
  addDoctor(program, output);
  addFrom(program, output);
  addIam(program, output);
}

const file = (): Option =>
  new Option('-f, --filename <file...>', 'YAML files or directories; - is standard input').makeOptionMandatory();

const each = (value: string, before: string[]): string[] => [...before, value];

function addCheck(program: Command, { print }: Output): void {
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
}

/** What a document needs on this machine. */
interface LaptopFlags {
  readonly secret: string[];
  readonly secretsDir?: string;
  readonly context?: string;
  readonly name?: string;
  readonly allowInsecureHostKeys?: true;
  readonly allowEndpoint: string[];
  readonly verbose?: true;
}

/** Its options, without `--verbose`, which each command puts last. */
function addLaptopOptions(command: Command): Command {
  return command
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
    );
}

const laptopOptions = (flags: LaptopFlags) => ({
  secrets: flags.secret,
  secretsFolder: flags.secretsDir,
  context: flags.context,
  name: flags.name,
  allowInsecureHostKeys: flags.allowInsecureHostKeys === true,
  allowedEndpoints: flags.allowEndpoint,
  verbose: flags.verbose === true,
});

interface OpenFlags extends LaptopFlags {
  readonly filename: string[];
  readonly address: string;
  readonly port: string[];
}

const openDefaults = {
  ...laptopOptions({ secret: [], allowEndpoint: [] }),
  files: [],
  address: '127.0.0.1',
  ports: [],
};

function addOpen(program: Command, { print, complain }: Output): void {
  const command = program
    .command('open')
    .description('the tunnel of a document on this machine, without a cluster')
    .addOption(file())
    .option('--address <address>', 'where to listen; 0.0.0.0 shares it with the local network', '127.0.0.1')
    .option('--port <local:port>', 'another local port for a port of the document; may be repeated', each, []);
  addLaptopOptions(command)
    .option('-v, --verbose', 'write the log to standard error')
    .action(async (flags: OpenFlags) => {
      const { open } = await import('./cli/open.ts');
      await open({
        files: flags.filename,
        address: flags.address,
        ports: flags.port,
        ...laptopOptions(flags),
        print,
        complain,
      });
    });
}

interface DoctorFlags extends LaptopFlags {
  readonly filename?: string[];
  readonly output: 'text' | 'json';
}

function addDoctor(program: Command, { print, complain }: Output): void {
  const command = program
    .command('doctor')
    .description(
      'the way to each destination, hop by hop, until the first fault: with -f from this machine, without in a tunnel pod',
    )
    .option('-f, --filename <file...>', 'YAML files or directories; - is standard input');
  addLaptopOptions(command)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .option('-v, --verbose', 'write the log to standard error')
    .action(async (flags: DoctorFlags) => {
      if (flags.filename === undefined) {
        // Under kubectl exec: nothing but this is loaded.
        const { askTunnel } = await import('./cli/ask-tunnel.ts');
        process.exitCode = await askTunnel({ output: flags.output, print, complain });
        return;
      }
      const { doctor } = await import('./cli/doctor.ts');
      await doctor({
        files: flags.filename,
        ...laptopOptions(flags),
        output: flags.output,
        print,
        complain,
      });
    });
}

interface FromFlags {
  readonly name?: string;
  readonly namespace?: string;
  readonly keepLocalPorts?: true;
  readonly open?: true;
  readonly apply?: true;
  readonly context?: string;
}

function addFrom(program: Command, { print, note, complain }: Output): void {
  program
    .command('from')
    .description(
      'a command of today as a document: ssh -L, autossh, aws ssm start-session, fly proxy. It is read, never run',
    )
    .usage('[options] -- <command...>')
    .argument('<command...>', 'the command with its options, behind --')
    .passThroughOptions()
    .option('--name <name>', 'name of the PortForward; default: from the destination')
    .option('-n, --namespace <namespace>', 'its namespace; default: none in the document')
    .option('--keep-local-ports', 'the Service gets the local port, not the destination’s')
    .option('--open', 'then open it on this machine, with the local ports of the command')
    .option('--apply', 'then apply it to the cluster of --context')
    .option('--context <name>', 'the kubeconfig context for --apply')
    .action(async (command: string[], flags: FromFlags) => {
      const { from } = await import('./cli/from/from.ts');
      const made = await from({
        words: command,
        name: flags.name,
        namespace: flags.namespace,
        keepLocalPorts: flags.keepLocalPorts === true,
        apply: flags.apply === true,
        context: flags.context,
        print,
        note,
      });
      if (flags.open === undefined) return;
      const { open } = await import('./cli/open.ts');
      note('');
      await open({ ...openDefaults, ...made, print, complain });
    });
}

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

function addIam(program: Command, { print, complain }: Output): void {
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
}
