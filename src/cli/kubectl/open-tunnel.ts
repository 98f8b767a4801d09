// `kubectl portforward open NAME`: the tunnel of a document in the cluster, opened on this machine with the Secrets that it names.
// Neighbours: ../open.ts (opens it), kubectl.ts (reads document and Secrets), sidecar/base/memory-secrets.ts (where they stay).
import type { Command } from 'commander';
import { apiVersion, kind } from '../../contract/api/names.ts';
import type { SecretData } from '../local-secrets.ts';
import { UsageError } from '../usage-error.ts';
import type { Kubectl } from './kubectl.ts';
import { addCommand, kubectlOf, type Output, resource, tunnelName } from './plugin-command.ts';

interface OpenFlags {
  readonly address: string;
  readonly port: string[];
  readonly allowInsecureHostKeys?: true;
  readonly allowEndpoint: string[];
  readonly verbose?: true;
}

interface Stored {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
}

const each = (value: string, before: string[]): string[] => [...before, value];

export function addOpenTunnel(program: Command, { print, complain }: Output): void {
  addCommand(program, 'open <name>', 'the same tunnel on this machine, with the Secrets that the document names')
    .option('--address <address>', 'where to listen; 0.0.0.0 shares it with the local network', '127.0.0.1')
    .option('--port <local:port>', 'another local port for a port of the document; may be repeated', each, [])
    .option('--allow-insecure-host-keys', 'accept hostKeyPolicy: InsecureIgnore')
    .option('--allow-endpoint <url>', 'an address besides AWS’s own for spec.ssm.endpoints; may be repeated', each, [])
    .option('-v, --verbose', 'write the log to standard error')
    .action(async (word: string, flags: OpenFlags, used: Command) => {
      const kubectl = kubectlOf(used);
      const { metadata, spec } = await kubectl.json<Stored>(['get', resource, tunnelName(word)]);
      const { name, namespace } = metadata;
      const { open } = await import('../open.ts');
      await open({
        files: [`the cluster’s ${namespace}/${name}`],
        document: JSON.stringify({ apiVersion, kind, metadata: { name, namespace }, spec }),
        readSecret: async (secret, keys) => {
          print(`reads the Secret ${namespace}/${secret}, of it only ${keys.join(', ')}`);
          return await readSecret(kubectl, { namespace, name: secret, keys });
        },
        address: flags.address,
        ports: flags.port,
        secrets: [],
        secretsFolder: undefined,
        context: undefined,
        name: undefined,
        allowInsecureHostKeys: flags.allowInsecureHostKeys === true,
        allowedEndpoints: flags.allowEndpoint,
        verbose: flags.verbose === true,
        print,
        complain,
      });
    });
}

/** Only these keys leave kubectl. @throws KubectlFailed if the person may not read it */
async function readSecret(
  kubectl: Kubectl,
  { namespace, name, keys }: { readonly namespace: string; readonly name: string; readonly keys: readonly string[] },
): Promise<SecretData> {
  const wanted = keys.map((key) => JSON.stringify(key)).join(' ');
  const template = `{{range $key, $value := .data}}{{if eq $key ${wanted}}}{{$key}} {{$value}}{{"\\n"}}{{end}}{{end}}`;
  const said = await kubectl.text([
    'get',
    'secret',
    name,
    `--namespace=${namespace}`,
    `--output=go-template=${template}`,
  ]);
  return new Map(
    said
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [key, base64] = line.split(' ');
        if (key === undefined || base64 === undefined) throw new UsageError(`the Secret ${name} cannot be read`);
        return [key, Buffer.from(base64, 'base64')];
      }),
  );
}
