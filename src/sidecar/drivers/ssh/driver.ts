// The ssh driver: bastions as routes, sessions over ssh2. Reading order of this folder: driver → jump → connection → handshake → session
// → channel-stream; ssh2-hardening.ts is the only file that knows ssh2's inside.
import { TunnelError } from '../../../contract/errors.ts';
import type { Hop, SshConfig } from '../../../contract/tunnel-config.ts';
import type { Logger } from '../../../process/log.ts';
import { ByteBudget } from '../../base/byte-budget.ts';
import type { ConnectOptions, Driver, Session } from '../../base/driver.ts';
import { type HopRole, hopName } from './base/hop-name.ts';
import { connectThrough, type HopAccess } from './connect.ts';
import { CredentialStore, type LoginMaterial } from './login/credentials.ts';
import { joinKnownHosts } from './login/host-trust.ts';
import { parseKnownHosts } from './login/known-hosts.ts';
import { orderRoutes, type SshRoute } from './routes.ts';

export type { SshRoute } from './routes.ts';

export interface SshDriverOptions {
  /** Decides the order of bastions under the policy Spread; any stable text on a laptop. */
  readonly podUid: string;
  readonly log: Logger;
  /** The pod's, shared with everything else that holds bytes; one of its own unless given. */
  readonly budget?: ByteBudget;
}

/** Nothing is opened or read before the first call. All sessions share one byte budget. */
export function createSshDriver(config: SshConfig, options: SshDriverOptions): Driver<SshRoute> {
  const { podUid, log, budget = new ByteBudget() } = options;
  const documentHosts = parseKnownHosts(config.knownHosts);
  const routes = orderRoutes(config, podUid);
  const stores = new Map<string, CredentialStore>();
  const unwatch = new Set<() => void>();

  for (const { credentials } of [...config.jumpHosts, ...config.bastions]) {
    if (credentials !== undefined && !stores.has(credentials.directory)) {
      stores.set(credentials.directory, new CredentialStore(credentials));
    }
  }

  const access = async (hop: Hop, role: HopRole): Promise<HopAccess> => {
    const store = hop.credentials === undefined ? undefined : stores.get(hop.credentials.directory);
    if (store === undefined) {
      throw new TunnelError('SecretNotFound', `no Secret is named for ${hopName(role, hop)}: set spec.ssh.secretRef`);
    }
    const id = `${hopName(role, hop)} ${hop.user}`;
    const materials = await usableMaterials(store, id, log);
    return {
      materials,
      trust: joinKnownHosts([documentHosts, ...materials.slice(0, 1).map((one) => one.knownHosts)]),
      accepted(material) {
        if (material !== materials[0])
          log.warn({ host: hop.host }, 'the changed Secret was refused; logged in with the one before');
        store.accept(id, material);
      },
    };
  };

  return {
    routes: async () => routes,
    async connect(route: SshRoute, options: ConnectOptions): Promise<Session> {
      options.signal.throwIfAborted();
      return connectThrough({ config, bastion: route.bastion, access, budget, ...options });
    },
    onCredentialsChange(listener) {
      const stops = [...stores.values()].map((store) => store.onChange(listener));
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

/** The set on disk, then the last one that worked; where what is on disk cannot be used, the last one alone. */
async function usableMaterials(store: CredentialStore, hop: string, log: Logger): Promise<readonly LoginMaterial[]> {
  try {
    const current = await store.current();
    const accepted = store.accepted(hop, current);
    return accepted === undefined ? [current] : [current, accepted];
  } catch (error) {
    const accepted = store.accepted(hop);
    if (accepted === undefined) throw error;
    log.warn({ error }, 'the Secret cannot be used as it is now; the last one that worked is');
    return [accepted];
  }
}
