// Key exchange, host key check and login over a connected socket, by ssh2. Whatever goes wrong becomes one TunnelError with its own code,
// and the socket is gone before the error is thrown. Neighbours: connect.ts calls it, session.ts takes over what it returns,
// handshake-error.ts names the failures.
import type { Duplex, Readable } from 'node:stream';
import ssh2, { type Algorithms, type AuthHandlerMiddleware, type ServerHostKeyAlgorithm } from 'ssh2';
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import type { Logger } from '../../../../process/log.ts';
import type { HopRole } from '../base/hop-name.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import { hardenClient, presentCertificates, strictKeyExchange } from '../base/ssh2-hardening.ts';
import { LoginPlan } from './authentication.ts';
import type { LoginMaterial } from './credentials.ts';
import { type HandshakeProgress, handshakeError, hostKeyError, noLoginError } from './handshake-error.ts';
import { hostKeyAlgorithms } from './host-trust.ts';
import type { KnownHosts } from './known-hosts.ts';

export interface HandshakeOptions {
  /** Connected; owned from here on. */
  readonly socket: Duplex;
  readonly hop: Hop;
  readonly role: HopRole;
  /** Everything that vouches for host keys. */
  readonly trust: KnownHosts;
  /** True only where operator and document both say that host keys are not checked. */
  readonly ignoreHostKey: boolean;
  /** Sets of credentials in the order to try. */
  readonly materials: readonly LoginMaterial[];
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called at the far side's first byte. */
  readonly onAnswer?: () => void;
}

/** An authenticated client; its socket stays the caller's to destroy. */
export interface Login extends LoggedIn {
  /** The set of credentials that the far side accepted. */
  readonly material: LoginMaterial;
}

/** RFC 9142 and later practice: no SHA-1, no CBC. aes128-gcm first: hardware carries it at several hundred MB/s. */
const algorithms = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group14-sha256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'aes256-ctr',
    'aes192-ctr',
    'aes128-ctr',
    'chacha20-poly1305@openssh.com',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} as const;

/** @throws TunnelError of layer `bastion`, or the signal's reason when it is one; the socket is destroyed then. */
export async function login(options: HandshakeOptions): Promise<Login> {
  const { socket, hop, role, trust, signal, log } = options;
  const known = trust.knownKeyTypes(hop.host, hop.port);
  const progress: HandshakeProgress = { firstBytes: '', knownTypes: known };
  const client = new ssh2.Client();
  let plan: LoginPlan | undefined;
  let hostKey: Buffer | undefined;
  let refusal: TunnelError | undefined;
  let cipher = '';

  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (cause: unknown) => reject(refusal ?? handshakeError(hop, role, progress, cause, options.materials));
  const onAbort = () => reject(signal.reason);
  const onClose = () => fail(new Error('the connection was closed'));

  client
    .on('ready', resolve)
    .on('error', fail)
    .on('handshake', (negotiated) => {
      cipher = negotiated.cs.cipher;
      // ChaCha20 without the strict exchange is what Terrapin cuts messages out of.
      if (cipher.startsWith('chacha20') && !strictKeyExchange(client)) {
        refusal = handshakeError(hop, role, progress, new Error('chacha20-poly1305 without strict key exchange'), []);
        socket.destroy();
      }
    })
    .on('greeting', (text) => log.debug({ text: text.slice(0, 200) }, 'text before the ssh banner'));

  const verifyHostKey = (shown: Buffer): boolean => {
    // Asked again at each key re-exchange: the key may not change under a running session.
    if (hostKey !== undefined) return hostKey.equals(shown);
    const verdict = trust.verdict(hop.host, hop.port, shown);
    if (verdict !== 'trusted' && (verdict === 'revoked' || !options.ignoreHostKey)) {
      refusal = hostKeyError(hop, role, verdict, shown, trust.hasAuthority(hop.host, hop.port));
      return false;
    }
    hostKey = Buffer.from(shown);
    return true;
  };
  const nextMethod = (allowed: readonly string[] | null, partial: boolean | null) => {
    progress.loginBegan = true;
    if (plan === undefined) {
      plan = new LoginPlan(hop, options.materials, hostKey ?? Buffer.alloc(0));
      presentCertificates(client, plan.certificates);
      if (plan.empty) refusal = noLoginError(hop, role, options.materials);
    }
    progress.passwordWithheld = plan.passwordWithheld;
    return plan.next(allowed, partial) ?? false;
  };

  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('close', onClose);
  try {
    signal.throwIfAborted();
    if (socket.destroyed) throw new Error('the connection was closed');
    client.connect({
      sock: socket as Readable,
      username: hop.user,
      readyTimeout: 0,
      keepaliveInterval: 0,
      strictVendor: false,
      algorithms: {
        ...(algorithms as unknown as Algorithms),
        serverHostKey: [...hostKeyAlgorithms(known)] as ServerHostKeyAlgorithm[],
      },
      hostVerifier: verifyHostKey,
      authHandler: nextMethod as unknown as AuthHandlerMiddleware,
    });
    hardenClient(client);
    sniffFirstBytes(socket, progress, log);
    socket.once('data', () => options.onAnswer?.());
    await promise;
    if (plan?.material === undefined || hostKey === undefined) throw new Error('ready without a login');
    return { client, hostKey, cipher, material: plan.material };
  } catch (error) {
    // ssh2 may speak up once more while its socket goes; nobody listens to that any more.
    client.on('error', () => undefined);
    socket.on('error', () => undefined);
    socket.destroy();
    signal.throwIfAborted();
    throw error instanceof TunnelError ? error : handshakeError(hop, role, progress, error, options.materials);
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.removeListener('close', onClose);
  }
}

/** sshd gives its reason for refusing as a line before the banner, which ssh2 swallows; it goes to the log alone. */
function sniffFirstBytes(socket: Duplex, progress: HandshakeProgress, log: Logger): void {
  socket.once('data', (bytes: Buffer) => {
    progress.firstBytes = bytes.toString('latin1', 0, 200);
    if (!progress.firstBytes.startsWith('SSH-')) log.debug({ text: progress.firstBytes }, 'the far side began with');
  });
}
