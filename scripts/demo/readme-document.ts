// The document that the README shows, with the keys of a real private network in place of its dots.
// Neighbours: cluster-look.ts applies it, laptop-look.ts opens it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Bastion, PrivateNetwork } from '../../lab/private-network/network.ts';

export interface ReadmeDocument {
  /** The Secret and the PortForward. */
  readonly documents: readonly object[];
  /** The names that the document has for the bastions; whoever opens it must resolve them to these. */
  readonly hosts: readonly { readonly name: string; readonly bastion: Bastion }[];
}

interface Secret {
  readonly kind: 'Secret';
  readonly stringData: Record<string, string>;
}

interface PortForward {
  readonly kind: 'PortForward';
  readonly spec: {
    readonly ports: readonly { readonly destinationHost: string }[];
    readonly ssh: { readonly bastions: readonly { readonly host: string }[]; knownHosts: string };
  };
}

/** @throws Error if the README no longer shows one Secret, and one PortForward with two bastions to this network's database. */
export function readmeDocument(network: PrivateNetwork): ReadmeDocument {
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
  const [, text = ''] = /^```yaml\n(.*?kind: PortForward\n.*?)^```$/ms.exec(readme) ?? [];
  const documents = parseAllDocuments(text).map((document) => document.toJS() as Secret | PortForward);
  const secret = documents.find((one) => one.kind === 'Secret');
  const portForward = documents.find((one) => one.kind === 'PortForward');
  const names = portForward?.spec.ssh.bastions.map(({ host }) => host) ?? [];
  const [first, second] = names;
  const [port] = portForward?.spec.ports ?? [];
  if (secret === undefined || portForward === undefined || first === undefined || second === undefined)
    throw new Error(
      'README.md shows no Secret with a PortForward of two bastions: scripts/demo/readme-document.ts reads it',
    );
  if (port?.destinationHost !== network.databaseName)
    throw new Error(
      `README.md's destination is not ${network.databaseName}: lab/private-network/network.ts serves that one`,
    );
  const hosts = [
    { name: first, bastion: network.bastions.a },
    { name: second, bastion: network.bastions.b },
  ];
  secret.stringData['ssh-privatekey'] = network.key.privateKey;
  portForward.spec.ssh.knownHosts = hosts.map(({ name, bastion }) => bastion.knownHosts({ name })).join('');
  return { documents, hosts };
}
