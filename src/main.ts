// The one executable: each word after `portforward` loads only its own part, so that a tunnel pod never holds the Kubernetes client in
// memory and a controller never ssh.
// Neighbours: cli/, one file for each command.
import { Command, Option } from 'commander';
import { isUsageError } from './cli/usage-error.ts';

const program = new Command('portforward')
  .description('Tunnels to private databases, for Kubernetes and for laptops.')
  .showHelpAfterError('(portforward help tells more)')
  .enablePositionalOptions();

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

program
  .command('sidecar')
  .description('one tunnel, as its pods run it: configured by the environment')
  .action(async () => {
    const { sidecar } = await import('./cli/sidecar.ts');
    await sidecar();
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

program
  .command('version')
  .description('which build this is')
  .option('--check-crypto', 'fail unless ssh’s native crypto is in this build')
  .action(async (options: { checkCrypto?: true }) => {
    const { cryptoState, version } = await import('./cli/version.ts');
    print(`portforward ${version}, Node ${process.versions.node}`);
    if (options.checkCrypto === undefined) return;
    const { native } = await cryptoState();
    print(native ? 'native crypto: present' : 'native crypto: MISSING, ssh would run on the slower JavaScript code');
    if (!native) process.exitCode = 1;
  });

// The reader of a pipe may leave first, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// Not awaited: the bundle is CommonJS. What is no UsageError is a bug, and ends the process with its stack.
void program.parseAsync().catch((error: unknown) => {
  if (!isUsageError(error)) throw error;
  process.stderr.write(`portforward: ${error.message}\n`);
  process.exitCode = 2;
});

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
