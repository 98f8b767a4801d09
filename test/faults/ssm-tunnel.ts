// A tunnel in this process through a Session Manager service of its own: the start of the ssm tests of this folder.
// Neighbours: test/support/ssm (the service), ssm-database.ts (behind it), ssm-clients.ts (who uses it), ../integration/sidecar (what both share).
import type { Sidecar } from '../../src/sidecar/sidecar.ts';
import { openSidecar, portOf, ssmTunnelConfig, untilConnected } from '../integration/sidecar/sidecar-world.ts';
import { SecretDirectory } from '../integration/ssh/ssh-world.ts';
import { type Seen, SessionManager, type Switches } from '../support/ssm/session-manager.ts';

export const instance = 'i-0123456789abcdef0';

export type TunnelOptions = Parameters<typeof ssmTunnelConfig>[2] & {
  /** Switches of the service, set before the tunnel starts. */
  readonly switches?: Switches;
  /** The files of the mounted Secret. Default: the keys that the service accepts. */
  readonly keys?: Readonly<Record<string, string>>;
};

export class SsmTunnel implements AsyncDisposable {
  readonly service: SessionManager;
  readonly sidecar: Sidecar;
  /** The mounted keys. */
  readonly secret: SecretDirectory;

  /** Resolves at once: the tunnel may still be connecting, or unable to. */
  static async start({ switches = {}, keys, ...options }: TunnelOptions): Promise<SsmTunnel> {
    const service = await SessionManager.start();
    await service.set(switches);
    const secret = new SecretDirectory(keys ?? keyFiles(service.credentials));
    const connection = { drainTimeoutSeconds: 1, ...options.connection };
    const sidecar = await openSidecar(ssmTunnelConfig(service, secret, { ...options, connection }));
    return new SsmTunnel(service, sidecar, secret);
  }

  /** The same, connected. */
  static async open(options: TunnelOptions): Promise<SsmTunnel> {
    const tunnel = await SsmTunnel.start(options);
    await untilConnected(tunnel.sidecar, 60_000);
    return tunnel;
  }

  private constructor(service: SessionManager, sidecar: Sidecar, secret: SecretDirectory) {
    this.service = service;
    this.sidecar = sidecar;
    this.secret = secret;
  }

  get port(): number {
    return portOf(this.sidecar);
  }

  /** The id of the session that new connections use. @throws without one. */
  get sessionInUse(): string {
    const { sessionId } = this.sidecar.status();
    if (sessionId === undefined) throw new Error('the tunnel has no session');
    return sessionId;
  }

  /** Calls of that operation that the service answered so far. */
  async calls(operation: string): Promise<number> {
    return (await this.service.seen()).calls[operation] ?? 0;
  }

  async sessions(): Promise<Seen['sessions']> {
    return (await this.service.seen()).sessions;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar.stop();
    await this.service.stop();
    this.secret[Symbol.dispose]();
  }
}

/** The files of the Secret that holds these keys. */
export function keyFiles(keys: {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    ...(keys.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: keys.sessionToken }),
  };
}
