// The way to a bastion: directly, or through jump hosts, each a session of its own over the one before, with its own deadline and its own
// liveness. A failure closes everything that was opened before the error is thrown. Neighbours: driver.ts calls it; tcp-connect.ts,
// handshake.ts and session.ts do one hop.
import { type Code, TunnelError } from '../../../contract/errors.ts';
import type { Hop, SshConfig } from '../../../contract/tunnel-config.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import { type HopRole, hopName } from './base/hop-name.ts';
import { SshSession } from './channels/session.ts';
import type { Transport } from './channels/session-watch.ts';
import type { LoginMaterial } from './login/credentials.ts';
import { login } from './login/handshake.ts';
import type { KnownHosts } from './login/known-hosts.ts';
import { openConnection } from './login/tcp-connect.ts';

/** What a hop is logged in with and trusted by; read anew for every attempt. */
export interface HopAccess {
  readonly materials: readonly LoginMaterial[];
  readonly trust: KnownHosts;
  /** To be called with the set that the hop accepted. */
  accepted(material: LoginMaterial): void;
}

export interface WayOptions {
  readonly config: SshConfig;
  readonly bastion: Hop;
  readonly access: (hop: Hop, role: HopRole) => Promise<HopAccess>;
  readonly budget: ByteBudget;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * Called at the bastion's first byte, and at no jump host's: behind one that answers a network may just have returned as well as before
   * it. Joining attempts log in to the jump host once a second at most, which a bastion that refuses makes us do anyway.
   */
  readonly onAnswer?: () => void;
}

/** The bastion's session; jump hosts' sessions below it end with it. @throws TunnelError of layer `bastion`, or the signal's reason. */
export async function connectThrough(options: WayOptions): Promise<SshSession> {
  const { config, bastion } = options;
  let below: SshSession | undefined;
  for (const hop of [...config.jumpHosts, bastion]) {
    try {
      below = await connectHop(options, hop, hop === bastion ? 'bastion' : 'jump host', below);
    } catch (error) {
      await below?.close();
      throw error;
    }
  }
  return below as SshSession;
}

async function connectHop(options: WayOptions, hop: Hop, role: HopRole, below?: SshSession): Promise<SshSession> {
  const { config, signal, budget, log } = options;
  const access = await options.access(hop, role);
  let reached = false;
  const deadline = new AbortController();
  const timer = setTimeout(
    () => deadline.abort(unanswered({ hop, role, config, reached, behindJump: below !== undefined })),
    config.connectTimeoutSeconds * 1000,
  );
  const attempt = AbortSignal.any([signal, deadline.signal]);
  try {
    const transport =
      below === undefined ? await openConnection(hop, role, attempt) : await dialNext(below, hop, role, attempt);
    reached = true;
    const done = await login({
      socket: transport,
      hop,
      role,
      trust: access.trust,
      ignoreHostKey: config.hostKeyPolicy === 'InsecureIgnore',
      materials: access.materials,
      signal: attempt,
      log,
      ...(role !== 'bastion' || options.onAnswer === undefined ? {} : { onAnswer: options.onAnswer }),
    });
    access.accepted(done.material);
    return new SshSession({
      hop,
      role,
      transport,
      login: done,
      budget,
      serverAliveIntervalMs: config.serverAliveIntervalSeconds * 1000,
      log,
      ...(below === undefined ? {} : { below }),
    });
  } finally {
    clearTimeout(timer);
  }
}

interface Unanswered {
  readonly hop: Hop;
  readonly role: HopRole;
  readonly config: SshConfig;
  readonly reached: boolean;
  readonly behindJump: boolean;
}

function unanswered({ hop, role, config, reached, behindJump }: Unanswered): TunnelError {
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

async function dialNext(below: SshSession, hop: Hop, role: HopRole, signal: AbortSignal): Promise<Transport> {
  try {
    return await below.dial({ host: hop.host, port: hop.port }, { signal });
  } catch (error) {
    if (signal.aborted || !(error instanceof TunnelError) || error.layer === 'bastion') throw error;
    throw new TunnelError(
      codeBehindJump[error.code] ?? 'BastionUnreachable',
      `${hopName(role, hop)} cannot be reached from the jump host before it: ${error.message}`,
      { cause: error },
    );
  }
}
