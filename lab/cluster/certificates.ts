// The certificate authority of one API server, the certificates that its parts show each other, and kubeconfigs made of them.
// Neighbours: control-plane.ts names the files in arguments; api-server.ts and host-cluster.ts create them.
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../process/command.ts';

/** What a certificate says: for a client its user and groups, for a server also its names and addresses. */
export interface Subject {
  readonly user: string;
  readonly groups?: readonly string[];
  readonly addresses?: readonly string[];
  readonly names?: readonly string[];
}

/** Files of one directory; `certificate('x')` and `key('x')` exist once `issue('x', …)` resolved. */
export class Authority {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  certificate(name = 'ca'): string {
    return join(this.#directory, `${name}.crt`);
  }

  key(name = 'ca'): string {
    return join(this.#directory, `${name}.key`);
  }

  /** Makes the authority itself, and the key pair that signs service account tokens (`serviceAccountKey`). */
  async create(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    await this.#openssl('ca', '/CN=portforward-test-cluster', ['-addext', 'basicConstraints=critical,CA:TRUE']);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(this.serviceAccountKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }

  get serviceAccountKey(): string {
    return join(this.#directory, 'service-account.key');
  }

  /** Signs one certificate for ten years, good for client and server. */
  async issue(name: string, { user, groups = [], addresses = [], names = [] }: Subject): Promise<void> {
    const subject = `${groups.map((group) => `/O=${group}`).join('')}/CN=${user}`;
    const alternatives = [...addresses.map((address) => `IP:${address}`), ...names.map((one) => `DNS:${one}`)];
    const extensions = ['extendedKeyUsage=clientAuth,serverAuth', 'basicConstraints=critical,CA:FALSE'];
    if (alternatives.length > 0) extensions.push(`subjectAltName=${alternatives.join(',')}`);
    const signed = ['-CA', this.certificate(), '-CAkey', this.key()];
    await this.#openssl(name, subject, [...signed, ...extensions.flatMap((one) => ['-addext', one])]);
  }

  /** A kubeconfig that holds the named client certificate itself, so that the file works alone. Its only context is called `portforward-test`. */
  writeKubeconfig(file: string, server: string, client: string): void {
    const encoded = (path: string): string => readFileSync(path).toString('base64');
    const context = 'portforward-test';
    const content = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': context,
      clusters: [{ name: context, cluster: { server, 'certificate-authority-data': encoded(this.certificate()) } }],
      users: [
        {
          name: client,
          user: {
            'client-certificate-data': encoded(this.certificate(client)),
            'client-key-data': encoded(this.key(client)),
          },
        },
      ],
      contexts: [{ name: context, context: { cluster: context, user: client } }],
    };
    // JSON is YAML.
    writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  }

  async #openssl(name: string, subject: string, more: readonly string[]): Promise<void> {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', this.key(name)];
    const args = ['req', '-x509', ...key, '-out', this.certificate(name), '-days', '3650', '-subj', subject, ...more];
    await command('openssl', args);
  }
}

/** The certificates of the API server itself, its client side towards the kubelet, and a person's with every right (`admin`). */
export async function issueApiServer(authority: Authority, addresses: readonly string[]): Promise<void> {
  const inCluster = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const names = [...inCluster, 'kubernetes.default.svc.cluster.local', 'localhost'];
  await Promise.all([
    authority.issue('api-server', { user: 'kube-apiserver', addresses, names }),
    authority.issue('kubelet-client', { user: 'kube-apiserver-kubelet-client', groups: ['system:masters'] }),
    authority.issue('admin', { user: 'portforward-test-admin', groups: ['system:masters'] }),
  ]);
}
