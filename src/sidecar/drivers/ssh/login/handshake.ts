// Key exchange, host key check and login over a connected socket, by ssh2. Every failure becomes one TunnelError with its own code, and the
// socket is destroyed before the error is thrown.
// Neighbours: ../connect.ts calls it, ../channels/session.ts takes over the result, handshake-error.ts turns failures into errors.
import type { Duplex, Readable } from 'node:stream';
import ssh2, { type Algorithms, type AuthHandlerMiddleware, type ServerHostKeyAlgorithm } from 'ssh2';
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { onAbort } from '../../../../process/abort.ts';
import type { Logger } from '../../../../process/log.ts';
import { noTrace, quoted, type Trace } from '../../../base/trace.ts';
import { fingerprint } from '../base/fingerprint.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import { ConnectionClosed } from '../base/own-fault.ts';
import { acceptedSignatures, agreedOn, boundUnsent, hardenClient, strictKeyExchange } from '../base/ssh2-hardening.ts';
import { presentKeys } from '../base/ssh2-login.ts';
import { postQuantumExchange } from '../base/ssh2-post-quantum.ts';
import { ciphers, keyExchanges, macs, namesOf } from './algorithms.ts';
import { LoginPlan } from './authentication.ts';
import type { CredentialSet } from './credentials.ts';
import { type HandshakeProgress, handshakeError } from './handshake-error.ts';
import { hostKeyError } from './host-key-error.ts';
import { hostKeyAlgorithms } from './host-trust.ts';
import { type HostVerdict, type KnownHosts, keyTypeOf } from './known-hosts.ts';
import { authenticationError, endlessLogin, noLoginError } from './login-error.ts';
import { ServerOpening } from './server-opening.ts';

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
  /** Called once, before any of them is shown; what it throws ends the login. */
  readonly beforeLogin?: () => void;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called at the far side's first byte. */
  readonly onAnswer?: (() => void) | undefined;
  readonly trace?: Trace | undefined;
}

/** An authenticated client; its socket stays the caller's to destroy. */
export interface Login extends LoggedIn {
  /** The set of credentials that the far side accepted. */
  readonly credentials: CredentialSet;
}

const offered = {
  // hardenClient offers that one, which ssh2 does not know.
  kex: namesOf(keyExchanges).filter((name) => name !== postQuantumExchange),
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
  readonly #trace: Trace;
  readonly #client = new ssh2.Client();
  readonly #knownTypes: readonly string[];
  /** The first failure counts: ssh2 may report others while its socket closes. */
  readonly #ready = Promise.withResolvers<void>();
  readonly #opening = new ServerOpening();
  #hostKeyShown = false;
  #cipher = '';
  /** The key that the far side proved to have. */
  #hostKey: Buffer | undefined;
  /** Set once the far side asks for a login. */
  #plan: LoginPlan | undefined;

  constructor(options: LoginOptions) {
    this.#options = options;
    this.#trace = options.trace ?? noTrace;
    this.#knownTypes = options.trust.knownKeyTypes(options.hop.host, options.hop.port);
    // It may be rejected before, or after, somebody waits for it.
    this.#ready.promise.catch(() => undefined);
  }

  async run(): Promise<Login> {
    const { socket, signal } = this.#options;
    const onClose = (): void => this.#ready.reject(this.#errorOf(new ConnectionClosed()));
    socket.once('close', onClose);
    using _ = onAbort(signal, this.#ready.reject);
    try {
      signal.throwIfAborted();
      if (socket.destroyed) throw new ConnectionClosed();
      this.#start();
      await this.#ready.promise;
      this.#trace.note(`accepted: ${this.#plan?.lastLabel}`);
      const credentials = this.#plan?.credentials;
      if (credentials === undefined || this.#hostKey === undefined) throw new Error('ready without a login');
      const forbidsForwarding =
        this.#plan?.usesCertificate === true && credentials.certificate?.permitsForwarding === false;
      return { client: this.#client, hostKey: this.#hostKey, cipher: this.#cipher, credentials, forbidsForwarding };
    } catch (error) {
      // ssh2 and the socket may emit more errors while they close.
      this.#client.on('error', () => undefined);
      socket.on('error', () => undefined);
      socket.destroy();
      const { hasVersion, text } = this.#opening;
      if (!hasVersion && text !== '') this.#trace.note(`instead of a greeting it says ${quoted(text)}`);
      signal.throwIfAborted();
      throw this.#errorOf(error);
    } finally {
      socket.removeListener('close', onClose);
    }
  }

  #start(): void {
    const { socket, hop, log, onAnswer } = this.#options;
    this.#trace.begin('greeting');
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
    hardenClient(this.#client, socket);
    const name = hopName(this.#options.role, hop);
    // It stays for the session.
    boundUnsent(this.#client, socket, () => socket.destroy(unreadError(name)));
    const read = (bytes: Buffer): void => this.#read(bytes);
    socket.on('data', read);
    socket.once('data', () => {
      this.#logText();
      onAnswer?.();
    });
    this.#client.once('handshake', () => socket.removeListener('data', read));
  }

  #read(bytes: Buffer): void {
    const isGreeted = this.#opening.hasVersion;
    this.#opening.read(bytes);
    if (isGreeted || !this.#opening.hasVersion) return;
    this.#trace.note(quoted(this.#opening.version));
    this.#trace.begin('key exchange');
  }

  /** sshd writes its reason for refusing as a line before the banner, which ssh2 swallows; its words go to the log only. */
  #logText(): void {
    const { text } = this.#opening;
    if (!text.startsWith('SSH-')) this.#options.log.debug({ text }, 'received data before the SSH banner');
  }

  #keysExchanged(cipher: string): void {
    const isFirst = this.#cipher === '';
    this.#cipher = cipher;
    if (isFirst) this.#trace.begin('login');
    // ChaCha20 without the strict key exchange is open to Terrapin, which cuts messages out.
    if (cipher.startsWith('chacha20') && !strictKeyExchange(this.#client)) {
      this.#ready.reject(this.#errorOf(new Error('chacha20-poly1305 without strict key exchange')));
      this.#options.socket.destroy();
    }
  }

  #verifyHostKey(shown: Buffer): boolean {
    // Called again at each key re-exchange: the key must not change during a session.
    if (this.#hostKey !== undefined) return this.#hostKey.equals(shown);
    this.#hostKeyShown = true;
    const { trust, hop, role, ignoreHostKey } = this.#options;
    const verdict = trust.verdict(hop.host, hop.port, shown);
    this.#traceHostKey(shown, verdict);
    if (verdict !== 'trusted' && (verdict === 'revoked' || !ignoreHostKey)) {
      this.#ready.reject(hostKeyError(hop, role, verdict, shown, trust.hasAuthority(hop.host, hop.port)));
      return false;
    }
    this.#hostKey = Buffer.from(shown);
    return true;
  }

  #traceHostKey(shown: Buffer, verdict: HostVerdict): void {
    const { trust, hop, ignoreHostKey } = this.#options;
    const { kex, cs, serverHostKey } = agreedOn(this.#client);
    this.#trace.note(`agreed on ${kex}, ${cs.cipher}, ${serverHostKey}`);
    this.#trace.begin('host key');
    this.#trace.note(`${quoted(keyTypeOf(shown))} ${fingerprint(shown)}`);
    const line = trust.lineFor(hop.host, hop.port, shown);
    if (line !== undefined) this.#trace.note(`${verdict === 'revoked' ? 'revoked by' : 'matches'} ${line}`);
    else if (ignoreHostKey) this.#trace.note('not checked: hostKeyPolicy is InsecureIgnore');
    else this.#trace.note('no line of known_hosts has this key for the host');
  }

  #nextMethod(allowed: readonly string[] | null, partial: boolean | null) {
    const { hop, role, credentials } = this.#options;
    const last = this.#plan?.lastLabel;
    if (last !== undefined) {
      this.#trace.note(`${partial === true ? 'accepted, but more is demanded' : 'refused'}: ${last}`);
      if (allowed !== null) this.#trace.note(`the host takes ${quoted(allowed.join(', '))}`);
    }
    if (this.#plan === undefined) {
      const refuse = (error: unknown): void => this.#ready.reject(error);
      try {
        this.#options.beforeLogin?.();
      } catch (error) {
        refuse(error);
        return false;
      }
      this.#plan = new LoginPlan({
        hop,
        sets: credentials,
        hostKey: this.#hostKey ?? Buffer.alloc(0),
        signatures: acceptedSignatures(this.#client),
        onQuestion: () => refuse(authenticationError(hop, role, this.#plan, credentials, undefined)),
      });
      presentKeys(this.#client, this.#plan.keys, () => refuse(endlessLogin(hopName(role, hop))));
      if (this.#plan.empty) refuse(noLoginError(hop, role, credentials));
    }
    return this.#plan.next(allowed, partial) ?? false;
  }

  #errorOf(cause: unknown): TunnelError {
    const { hop, role, credentials } = this.#options;
    const progress: HandshakeProgress = {
      opening: this.#opening,
      knownTypes: this.#knownTypes,
      hostKeyShown: this.#hostKeyShown,
      keysExchanged: this.#cipher !== '',
      login: this.#plan,
    };
    return handshakeError(hop, role, progress, cause, credentials);
  }
}

/** A far side that asks and does not read what we answer would fill our memory. */
function unreadError(name: string): TunnelError {
  return new TunnelError(
    'BastionLost',
    `${name} floods the session, or does not read the answers to what it asks: see what answers there, and its load`,
  );
}
