// The ssh driver: bastions are its routes, its sessions use ssh2. Reading order: driver.ts → connect.ts → login/tcp-connect.ts →
// login/handshake.ts → channels/session.ts → channels/channel-stream.ts. Only base/ssh2-*.ts touch ssh2's internals.
import { TunnelError } from '../../../contract/errors.ts';
import type { Hop, SshConfig } from '../../../contract/tunnel-config.ts';
import { boundGarbage, type HeapBounds } from '../../../process/heap.ts';
import type { Logger } from '../../../process/log.ts';
import { ByteBudget } from '../../base/byte-budget.ts';
import { CredentialsRecord, type OnOlder } from '../../base/credentials-record.ts';
import type { ConnectOptions, Driver, Session } from '../../base/driver.ts';
import { type HopRole, hopName } from './base/hop-name.ts';
import type { TakeLink } from './base/take-link.ts';
import { connectThrough, type HopCredentials } from './connect.ts';
import { type CredentialSet, CredentialStore } from './login/credentials.ts';
import { joinKnownHosts } from './login/host-trust.ts';
import { parseKnownHosts } from './login/known-hosts.ts';
import { LoginPace } from './login-pace.ts';
import { orderRoutes, type SshRoute } from './routes.ts';

export type { SshRoute } from './routes.ts';

export interface SshDriverOptions {
  /** Seeds the order of bastions under the policy Spread; any stable text on a laptop. */
  readonly podUid: string;
  readonly log: Logger;
  /** The pod's, shared with everything else that buffers bytes. Default: one of its own. */
  readonly budget?: ByteBudget;
  /** Gives the sockets of sessions to the native engine. Default: everything stays in JavaScript. */
  readonly takeLink?: TakeLink | undefined;
}

/** A thousand clients that read nothing in JavaScript: 177 MiB instead of 204. What the native engine holds is not in this heap. */
const heap: HeapBounds = { growingPercent: 25, compact: true };

/** What is wrong with credentials, not with the way to the host. */
const credentialCodes = [
  'SecretNotFound',
  'SecretKeyMissing',
  'PrivateKeyInvalid',
  'PassphraseWrong',
  'PasswordNotTrusted',
  'AuthenticationFailed',
] as const;

const refusedNow = (host: string, secretName: string): TunnelError =>
  new TunnelError(
    'AuthenticationFailed',
    `${host} refuses what Secret ${secretName} holds now, and was logged in to with its earlier content, which is lost at a restart: correct the Secret, or admit the new key there`,
  );

/** Opens and reads nothing before the first call. All sessions share one byte budget. */
export function createSshDriver(config: SshConfig, options: SshDriverOptions): Driver<SshRoute> {
  boundGarbage(heap);
  const { podUid, log, budget = new ByteBudget(), takeLink } = options;
  const documentHosts = parseKnownHosts(config.knownHosts, 'spec.ssh.knownHosts');
  const routes = orderRoutes(config, podUid);
  const stores = new Map<string, CredentialStore>();
  const unwatch = new Set<() => void>();
  const record = new CredentialsRecord(credentialCodes, log);
  const pace = new LoginPace();

  for (const { credentials } of [...config.jumpHosts, ...config.bastions]) {
    if (credentials === undefined || stores.has(credentials.directory)) continue;
    stores.set(credentials.directory, new CredentialStore(credentials));
  }

  /** `onOlder`: called if the hop gets an earlier content of its Secret, with the reason. */
  const credentialsFor = async (hop: Hop, role: HopRole, onOlder: OnOlder): Promise<HopCredentials> => {
    const store = hop.credentials === undefined ? undefined : stores.get(hop.credentials.directory);
    if (store === undefined) {
      throw new TunnelError('SecretNotFound', `no Secret is named for ${hopName(role, hop)}: set spec.ssh.secretRef`);
    }
    const id = `${hopName(role, hop)} ${hop.user}`;
    const sets = await usableSets(store, id, onOlder);
    const login = pace.of(id, sets[0], store);
    return {
      sets,
      trust: joinKnownHosts([documentHosts, ...sets.slice(0, 1).map((one) => one.knownHosts)]),
      accepted(set) {
        if (set !== sets[0]) onOlder(refusedNow(hopName(role, hop), set.secretName));
        store.accept(id, set);
        login.accepted();
      },
      begin: () => login.begin(),
      check: () => login.check(),
      failed: (error) => login.failed(error),
    };
  };

  return {
    routes: async () => routes,
    async connect(route: SshRoute, options: ConnectOptions): Promise<Session> {
      options.signal.throwIfAborted();
      const { bastion, via } = route;
      return await record.note(via, async (onOlder) => {
        const credentialsOf = async (hop: Hop, role: HopRole) => await credentialsFor(hop, role, onOlder);
        return await connectThrough({ ...options, config, bastion, budget, credentialsFor: credentialsOf, takeLink });
      });
    },
    credentialsVerdict: stores.size === 0 ? undefined : () => record.verdict,
    onCredentialsChange(listener) {
      const stops = [...stores.values()].map((store) => store.onChange(() => record.forget(listener)));
      const stop = () => {
        unwatch.delete(stop);
        for (const each of stops) each();
      };
      unwatch.add(stop);
      return stop;
    },
    async close() {
      for (const stop of unwatch) stop();
      for (const store of stores.values()) store.forget();
    },
  };
}

/** The set on disk, then the last one that worked; only the latter if the set on disk cannot be used. */
async function usableSets(store: CredentialStore, hop: string, onOlder: OnOlder): Promise<readonly CredentialSet[]> {
  try {
    const current = await store.current();
    const accepted = store.accepted(hop, current);
    return accepted === undefined ? [current] : [current, accepted];
  } catch (error) {
    const accepted = store.accepted(hop);
    if (accepted === undefined || !(error instanceof TunnelError)) throw error;
    onOlder(error);
    return [accepted];
  }
}
