// Who we are to the API server and whom we trust: headers and TLS settings from the KubeConfig, read again every 30 s so
// that rotated tokens, certificates and CA bundles are taken up without a restart.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AgentOptions, RequestOptions } from 'node:https';
import type { DispatcherOptions, KubeConfig } from '@kubernetes/client-node';
import { type Clock, systemClock } from '../../../process/clock.ts';

export interface KubeCredentials {
  /** Headers of every request (Authorization, impersonation). Secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** How to connect, for `connections.ts`. */
  readonly connect: DispatcherOptions;
  /** Changes when `connect` does. */
  readonly fingerprint: string;
}

const freshMs = 30_000;

export class KubeCredentialSource {
  readonly #config: KubeConfig;
  readonly #clock: Clock;
  #loading: Promise<KubeCredentials> | undefined;
  #loadedAt = 0;

  constructor(config: KubeConfig, clock: Clock = systemClock) {
    this.#config = config;
    this.#clock = clock;
  }

  /** The present credentials, at most 30 s old. Rejects if a file cannot be read or an exec plugin fails. */
  get(): Promise<KubeCredentials> {
    if (this.#loading !== undefined && this.#clock.now() - this.#loadedAt < freshMs) return this.#loading;
    this.#loadedAt = this.#clock.now();
    const loading = this.#load();
    this.#loading = loading;
    // A failure is not kept: the next request tries again.
    loading.catch(() => this.drop(loading));
    return loading;
  }

  /** Makes the next `get` read everything anew: the server refused what we have. */
  drop(loaded?: Promise<KubeCredentials>): void {
    if (loaded === undefined || this.#loading === loaded) this.#loading = undefined;
  }

  async #load(): Promise<KubeCredentials> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      if (typeof value === 'string') headers[name] = value;
    }
    if (typeof options.auth === 'string')
      headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    const tokenFile = tokenFileOf(this.#config);
    // The library keeps a token file's content for 60 s and its newline forever.
    if (tokenFile !== undefined) headers['Authorization'] = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    const connect = this.#config.createDispatcherOptions(this.#config.getCurrentCluster(), options as AgentOptions);
    return { headers, connect, fingerprint: createHash('sha256').update(JSON.stringify(connect)).digest('hex') };
  }
}

/** The file that the current user's token is read from, as in a pod; undefined for other ways to log in. */
export function tokenFileOf(config: KubeConfig): string | undefined {
  const provider: unknown = config.getCurrentUser()?.authProvider;
  if (typeof provider !== 'object' || provider === null || !('config' in provider)) return undefined;
  const settings = provider.config;
  if (typeof settings !== 'object' || settings === null || !('tokenFile' in settings)) return undefined;
  return typeof settings.tokenFile === 'string' ? settings.tokenFile : undefined;
}
