// Connects to a bastion: directly, or through jump hosts, each with a session over the one before, its own deadline and its own liveness
// check. A failure closes everything that was opened before the error is thrown.
// Neighbours: driver.ts calls it; login/tcp-connect.ts, login/handshake.ts and channels/session.ts handle one hop.
import { type Code, TunnelError } from '../../../contract/errors.ts';
import type { Hop, SshConfig } from '../../../contract/tunnel-config.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import { noTrace, type Trace } from '../../base/trace.ts';
import { type HopRole, hopName } from './base/hop-name.ts';
import type { TakeLink } from './base/take-link.ts';
import { SshSession } from './channels/session.ts';
import type { Transport } from './channels/session-watch.ts';
import { credentialFacts } from './login/credential-facts.ts';
import type { CredentialSet } from './login/credentials.ts';
import { login } from './login/handshake.ts';
import type { KnownHosts } from './login/known-hosts.ts';
import { connectTcp } from './login/tcp-connect.ts';

/** What we log in to a hop with, and how we recognise it; read again for every attempt. */
export interface HopCredentials {
  /** In the order to try. */
  readonly sets: readonly CredentialSet[];
  readonly trust: KnownHosts;
  /** Call it with the set that the hop accepted. */
  accepted(set: CredentialSet): void;
  /** Call it before the login. @throws TunnelError LoginRefused if the hop refused lately and must not be asked yet. */
  begin(): void;
  /** Call it before they are shown. @throws TunnelError LoginRefused if the hop has refused another attempt since `begin`. */
  check(): void;
  /** Call it if the login failed; returns the error to report. */
  failed(error: unknown): unknown;
}

export interface ConnectThroughOptions {
  readonly config: SshConfig;
  readonly bastion: Hop;
  readonly credentialsFor: (hop: Hop, role: HopRole) => Promise<HopCredentials>;
  readonly budget: ByteBudget;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * Called at the bastion's first byte, not at a jump host's: the network behind a jump host that answers may still be down. Attempts that
   * join this one log in to the jump host at most once a second, as often as a bastion that refuses makes us do anyway.
   */
  readonly onAnswer?: (() => void) | undefined;
  readonly trace?: Trace | undefined;
  /** Gives the bastion's socket to the native engine. Default: everything stays in JavaScript. */
  readonly takeLink?: TakeLink | undefined;
}

/** The bastion's session; the jump hosts' sessions end with it. @throws TunnelError of layer `bastion`, or the signal's reason. */
export async function connectThrough(options: ConnectThroughOptions): Promise<SshSession> {
  const { config, bastion } = options;
  let session: SshSession | undefined;
  for (const hop of [...config.jumpHosts, bastion]) {
    try {
      session = await connectHop(options, hop, hop === bastion ? 'bastion' : 'jump host', session);
    } catch (error) {
      await session?.close();
      throw error;
    }
  }
  return session as SshSession;
}

async function connectHop(
  options: ConnectThroughOptions,
  hop: Hop,
  role: HopRole,
  parent?: SshSession,
): Promise<SshSession> {
  const { trace = noTrace } = options;
  trace.begin('credentials', hopName(role, hop));
  const credentials = await options.credentialsFor(hop, role);
  for (const set of credentials.sets) for (const fact of credentialFacts(set)) trace.note(fact);
  credentials.begin();
  try {
    return await logInTo(options, hop, role, credentials, parent);
  } catch (error) {
    throw credentials.failed(error);
  }
}

async function logInTo(
  options: ConnectThroughOptions,
  hop: Hop,
  role: HopRole,
  credentials: HopCredentials,
  parent: SshSession | undefined,
): Promise<SshSession> {
  const { config, signal, budget, log, trace = noTrace } = options;
  let reached = false;
  using limit = deadline(config.connectTimeoutSeconds * 1000, {
    signal,
    reason: () => timeoutError({ hop, role, config, reached, behindJump: parent !== undefined }),
  });
  const transport =
    parent === undefined
      ? await connectTcp(hop, role, limit.signal, trace)
      : await dialNext(parent, hop, role, { signal: limit.signal, trace });
  reached = true;
  const done = await login({
    socket: transport,
    hop,
    role,
    trust: credentials.trust,
    ignoreHostKey: config.hostKeyPolicy === 'InsecureIgnore',
    credentials: credentials.sets,
    beforeLogin: () => credentials.check(),
    signal: limit.signal,
    log,
    onAnswer: role === 'bastion' ? options.onAnswer : undefined,
    trace,
  });
  credentials.accepted(done.credentials);
  trace.begin('session');
  if (done.forbidsForwarding === true) trace.note('the certificate permits no forwarding');
  return new SshSession({
    hop,
    role,
    transport,
    login: done,
    budget,
    serverAliveIntervalMs: config.serverAliveIntervalSeconds * 1000,
    log,
    parent,
    // A jump host carries nothing but the next session.
    takeLink: role === 'bastion' ? options.takeLink : undefined,
  });
}

interface TimeoutFacts {
  readonly hop: Hop;
  readonly role: HopRole;
  readonly config: SshConfig;
  /** True if there was a connection, and only the handshake took too long. */
  readonly reached: boolean;
  readonly behindJump: boolean;
}

function timeoutError({ hop, role, config, reached, behindJump }: TimeoutFacts): TunnelError {
  const name = hopName(role, hop);
  const seconds = config.connectTimeoutSeconds;
  return new TunnelError(
    'BastionTimeout',
    reached
      ? `${name} took the connection but did not finish the ssh handshake within ${seconds} s: check its load and what listens there`
      : `${name} does not answer within ${seconds} s: let ${behindJump ? 'the jump host before it' : 'the tunnel’s address'} reach it`,
  );
}

/** What a failed dial from a jump host means for the hop behind it. */
const codeBehindJump: Partial<Record<Code, Code>> = {
  DestinationRefused: 'BastionRefused',
  DestinationNameNotResolved: 'BastionNameNotResolved',
  DestinationTimeout: 'BastionTimeout',
};

async function dialNext(
  parent: SshSession,
  hop: Hop,
  role: HopRole,
  { signal, trace }: { readonly signal: AbortSignal; readonly trace: Trace },
): Promise<Transport> {
  trace.begin('dial from the jump host');
  try {
    return await parent.dial({ host: hop.host, port: hop.port }, { signal, trace });
  } catch (error) {
    if (signal.aborted || !(error instanceof TunnelError) || error.layer === 'bastion') throw error;
    throw new TunnelError(
      codeBehindJump[error.code] ?? 'BastionUnreachable',
      `${hopName(role, hop)} cannot be reached from the jump host before it: ${error.message}`,
      { cause: error },
    );
  }
}
