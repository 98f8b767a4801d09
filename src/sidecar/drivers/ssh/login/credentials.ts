// The credentials in one Secret: read again for every connect and parsed once per content. The last set that each hop accepted stays in
// memory, so that a broken rotation never ends a working tunnel. No content ever enters an error.
// Neighbours: base/secret-files.ts reads, private-key*.ts and certificate.ts parse, authentication.ts offers them.
import type { ParsedKey } from 'ssh2';
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { secretKeys } from '../../../../contract/secret-keys.ts';
import type { Credentials } from '../../../../contract/tunnel-config.ts';
import { readSecretFiles, type SecretFiles, watchSecretFiles } from '../../../base/secret-files.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { type KnownHosts, parseKnownHosts } from './known-hosts.ts';
import { isEncrypted, type KeyProblem, parsePrivateKey } from './private-key.ts';
import { decryptInThread } from './private-key-thread.ts';

/** One consistent content of a Secret, ready to use; has `key`, `password` or both. */
export interface CredentialSet {
  readonly secretName: string;
  readonly key?: ParsedKey;
  readonly certificate?: Certificate;
  readonly password?: string;
  readonly knownHosts: KnownHosts;
  /** Equal for equal content. */
  readonly digest: string;
}

export class CredentialStore {
  readonly #credentials: Credentials;
  #parsed: { readonly digest: string; readonly credentials: Promise<CredentialSet> } | undefined;
  /** By hop, because hops that share a Secret may accept its new content at different times; the latest login comes last. */
  readonly #accepted = new Map<string, CredentialSet>();

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** The credentials that are on disk now. @throws TunnelError SecretNotFound, SecretUnreadable, SecretKeyMissing, PrivateKeyInvalid or PassphraseWrong. */
  async current(): Promise<CredentialSet> {
    const files = await readSecretFiles(this.#credentials.directory, secretKeys.ssh);
    if (this.#parsed?.digest !== files.digest) {
      const credentials = parseCredentials(this.#credentials.secretName, files);
      const parsed = { digest: files.digest, credentials };
      this.#parsed = parsed;
      credentials.catch((error: unknown) => {
        // An error with a cause means that our thread failed, not the content: the next attempt may succeed.
        if (error instanceof Error && error.cause !== undefined && this.#parsed === parsed) this.#parsed = undefined;
      });
    }
    return this.#parsed.credentials;
  }

  /** What may work at the hop besides `current`: the last set that it accepted; if it has accepted none, the last that another hop did. */
  accepted(hop: string, current?: CredentialSet): CredentialSet | undefined {
    const own = this.#accepted.get(hop);
    if (own !== undefined) return own.digest === current?.digest ? undefined : own;
    return [...this.#accepted.values()].findLast(({ digest }) => digest !== current?.digest);
  }

  /** True if this very content is what the hop accepted last. */
  isAccepted(hop: string, credentials: CredentialSet | undefined): boolean {
    return credentials !== undefined && this.#accepted.get(hop)?.digest === credentials.digest;
  }

  /** Call it when a hop has accepted the set; `hop` is a stable name, unique within the config. */
  accept(hop: string, credentials: CredentialSet): void {
    this.#accepted.delete(hop);
    this.#accepted.set(hop, credentials);
  }

  onChange(listener: () => void): () => void {
    return watchSecretFiles(this.#credentials.directory, secretKeys.ssh, listener);
  }

  /** Forgets every key. */
  forget(): void {
    this.#parsed = undefined;
    this.#accepted.clear();
  }
}

async function parseCredentials(
  secretName: string,
  { exists, files, unreadable, digest }: SecretFiles<(typeof secretKeys.ssh)[number]>,
): Promise<CredentialSet> {
  if (unreadable.length > 0) {
    throw new TunnelError(
      'SecretUnreadable',
      `${unreadable.join(' and ')} of Secret ${secretName} may not be read by the tunnel’s user: correct the file’s owner and mode (in a pod: fsGroup, SELinux)`,
    );
  }
  if (!exists || Object.keys(files).length === 0) {
    throw new TunnelError(
      'SecretNotFound',
      `Secret ${secretName} does not exist or holds none of the keys ssh-privatekey, identity and password: create it with --from-file=ssh-privatekey=FILE (a file’s own name is not read)`,
    );
  }
  const keyName = files['ssh-privatekey'] === undefined ? 'identity' : 'ssh-privatekey';
  const keyText = files[keyName];
  const password = withoutLastNewline(files.password);
  if (keyText === undefined && password === undefined) {
    throw new TunnelError(
      'SecretKeyMissing',
      `Secret ${secretName} has neither ssh-privatekey (or identity) nor password: add one of them`,
    );
  }
  const key = keyText === undefined ? undefined : await readKey(secretName, keyName, keyText, files.passphrase);
  const certificate = key === undefined ? undefined : readCertificate(secretName, files['ssh-publickey-cert']);
  return {
    secretName,
    digest,
    knownHosts: parseKnownHosts(files.known_hosts ?? '', `known_hosts in Secret ${secretName}`),
    ...defined({ key, certificate, password }),
  };
}

async function readKey(secretName: string, keyName: string, text: string, phrase?: string): Promise<ParsedKey> {
  const passphrase = withoutLastNewline(phrase);
  let key: ParsedKey | KeyProblem;
  if (isEncrypted(text)) {
    const decrypted = await decryptInThread(text, passphrase).catch((cause: unknown) => {
      throw new TunnelError(
        'PrivateKeyInvalid',
        `${keyName} of Secret ${secretName} could not be decrypted here: store an unencrypted private key, or give the tunnel more memory`,
        { cause },
      );
    });
    key = typeof decrypted === 'string' ? parsePrivateKey(decrypted) : decrypted;
  } else key = parsePrivateKey(text);
  if (!('problem' in key)) return key;
  if (key.problem === 'passphrase') {
    const remedy = 'store its passphrase under the key passphrase, or an unencrypted private key';
    throw new TunnelError('PassphraseWrong', `${keyName} of Secret ${secretName} ${key.detail}: ${remedy}`);
  }
  const remedy = 'store the private key file as ssh-keygen wrote it';
  throw new TunnelError('PrivateKeyInvalid', `${keyName} of Secret ${secretName} ${key.detail}: ${remedy}`);
}

function readCertificate(secretName: string, text: string | undefined): Certificate | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const certificate = parseCertificate(text);
  if (certificate !== undefined) return certificate;
  throw new TunnelError(
    'PrivateKeyInvalid',
    `ssh-publickey-cert of Secret ${secretName} is not an OpenSSH user certificate: store the file that ssh-keygen -s wrote`,
  );
}

/** Editors and `echo` end a file with a newline that is not meant. */
function withoutLastNewline(text: string | undefined): string | undefined {
  const value = text?.replace(/\r?\n$/, '');
  return value === '' ? undefined : value;
}
