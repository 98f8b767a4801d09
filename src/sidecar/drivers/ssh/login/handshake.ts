// Key exchange, host key check and login over a connected socket, by ssh2. Every failure becomes one TunnelError with its own code, and the
// socket is destroyed before the error is thrown.
// Neighbours: ../connect.ts calls it, ../channels/session.ts takes over the result, handshake-error.ts turns failures into errors.
import type { Duplex, Readable } from 'node:stream';
import ssh2, { type Algorithms, type AuthHandlerMiddleware, type ServerHostKeyAlgorithm } from 'ssh2';
import type { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { onAbort } from '../../../../process/abort.ts';
import type { Logger } from '../../../../process/log.ts';
import type { HopRole } from '../base/hop-name.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import { hardenClient, presentCertificates, strictKeyExchange } from '../base/ssh2-hardening.ts';
import { ciphers, keyExchanges, macs, namesOf } from './algorithms.ts';
import { LoginPlan } from './authentication.ts';
import type { CredentialSet } from './credentials.ts';
import { type HandshakeProgress, handshakeError, hostKeyError, noLoginError } from './handshake-error.ts';
import { hostKeyAlgorithms } from './host-trust.ts';
import type { KnownHosts } from './known-hosts.ts';

export interface LoginOptions {
  /** Connected; owned by the handshake from here on. */
  readonly socket: Duplex;
  readonly hop: Hop;
  readonly role: HopRole;
  /** Everything that vouches for host keys. */
  readonly trust: KnownHosts;
  /** True only if operator and document both say that host keys are not checked. */
  readonly ignoreHostKey: boolean;
  /** In the order to try. */
  readonly credentials: readonly CredentialSet[];
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called at the far side's first byte. */
  readonly onAnswer?: (() => void) | undefined;
}

/** An authenticated client; its socket stays the caller's to destroy. */
export interface Login extends LoggedIn {
  /** The set of credentials that the far side accepted. */
  readonly credentials: CredentialSet;
}

const offered = {
  kex: namesOf(keyExchanges),
  cipher: namesOf(ciphers),
  hmac: namesOf(macs),
  compress: ['none'],
};

/** @throws TunnelError of layer `bastion`, or the signal's reason if it has aborted; the socket is destroyed then. */
export async function login(options: LoginOptions): Promise<Login> {
  return await new Handshake(options).run();
}

class Handshake {
  readonly #options: LoginOptions;
  readonly #client = new ssh2.Client();
  readonly #knownTypes: readonly string[];
  /** The first failure counts: ssh2 may report others while its socket closes. */
  readonly #ready = Promise.withResolvers<void>();
  #firstBytes = '';
  #cipher = '';
  /** The key that the far side proved to have. */
  #hostKey: Buffer | undefined;
  /** Set once the far side asks for a login. */
  #plan: LoginPlan | undefined;

  constructor(options: LoginOptions) {
    this.#options = options;
    this.#knownTypes = options.trust.knownKeyTypes(options.hop.host, options.hop.port);
    // It may be rejected before, or after, somebody waits for it.
    this.#ready.promise.catch(() => undefined);
  }

  async run(): Promise<Login> {
    const { socket, signal } = this.#options;
    const onClose = (): void => this.#ready.reject(this.#errorOf(new Error('the connection was closed')));
    socket.once('close', onClose);
    using _ = onAbort(signal, this.#ready.reject);
    try {
      signal.throwIfAborted();
      if (socket.destroyed) throw new Error('the connection was closed');
      this.#start();
      await this.#ready.promise;
      const credentials = this.#plan?.credentials;
      if (credentials === undefined || this.#hostKey === undefined) throw new Error('ready without a login');
      return { client: this.#client, hostKey: this.#hostKey, cipher: this.#cipher, credentials };
    } catch (error) {
      // ssh2 and the socket may emit more errors while they close.
      this.#client.on('error', () => undefined);
      socket.on('error', () => undefined);
      socket.destroy();
      signal.throwIfAborted();
      throw this.#errorOf(error);
    } finally {
      socket.removeListener('close', onClose);
    }
  }

  #start(): void {
    const { socket, hop, log, onAnswer } = this.#options;
    this.#client
      .on('ready', this.#ready.resolve)
      .on('error', (error) => this.#ready.reject(this.#errorOf(error)))
      .on('handshake', (negotiated) => this.#keysExchanged(negotiated.cs.cipher))
      .on('greeting', (text) => log.debug({ text: text.slice(0, 200) }, 'received a greeting before the SSH banner'));
    this.#client.connect({
      sock: socket as Readable,
      username: hop.user,
      readyTimeout: 0,
      keepaliveInterval: 0,
      strictVendor: false,
      algorithms: {
        ...(offered as unknown as Algorithms),
        serverHostKey: [...hostKeyAlgorithms(this.#knownTypes)] as ServerHostKeyAlgorithm[],
      },
      hostVerifier: (shown: Buffer) => this.#verifyHostKey(shown),
      authHandler: ((allowed: readonly string[] | null, partial: boolean | null) =>
        this.#nextMethod(allowed, partial)) as unknown as AuthHandlerMiddleware,
    });
    hardenClient(this.#client);
    socket.once('data', (bytes: Buffer) => {
      this.#readFirstBytes(bytes);
      onAnswer?.();
    });
  }

  /** sshd writes its reason for refusing as a line before the banner, which ssh2 swallows; it goes to the log only. */
  #readFirstBytes(bytes: Buffer): void {
    this.#firstBytes = bytes.toString('latin1', 0, 200);
    if (this.#firstBytes.startsWith('SSH-')) return;
    this.#options.log.debug({ text: this.#firstBytes }, 'received data before the SSH banner');
  }

  #keysExchanged(cipher: string): void {
    this.#cipher = cipher;
    // ChaCha20 without the strict key exchange is open to Terrapin, which cuts messages out.
    if (cipher.startsWith('chacha20') && !strictKeyExchange(this.#client)) {
      this.#ready.reject(this.#errorOf(new Error('chacha20-poly1305 without strict key exchange')));
      this.#options.socket.destroy();
    }
  }

  #verifyHostKey(shown: Buffer): boolean {
    // Called again at each key re-exchange: the key must not change during a session.
    if (this.#hostKey !== undefined) return this.#hostKey.equals(shown);
    const { trust, hop, role, ignoreHostKey } = this.#options;
    const verdict = trust.verdict(hop.host, hop.port, shown);
    if (verdict !== 'trusted' && (verdict === 'revoked' || !ignoreHostKey)) {
      this.#ready.reject(hostKeyError(hop, role, verdict, shown, trust.hasAuthority(hop.host, hop.port)));
      return false;
    }
    this.#hostKey = Buffer.from(shown);
    return true;
  }

  #nextMethod(allowed: readonly string[] | null, partial: boolean | null) {
    const { hop, role, credentials } = this.#options;
    if (this.#plan === undefined) {
      this.#plan = new LoginPlan(hop, credentials, this.#hostKey ?? Buffer.alloc(0));
      presentCertificates(this.#client, this.#plan.certificates);
      if (this.#plan.empty) this.#ready.reject(noLoginError(hop, role, credentials));
    }
    return this.#plan.next(allowed, partial) ?? false;
  }

  #errorOf(cause: unknown): TunnelError {
    const { hop, role, credentials } = this.#options;
    const progress: HandshakeProgress = {
      firstBytes: this.#firstBytes,
      knownTypes: this.#knownTypes,
      loginBegan: this.#plan !== undefined,
      passwordWithheld: this.#plan?.passwordWithheld === true,
    };
    return handshakeError(hop, role, progress, cause, credentials);
  }
}
