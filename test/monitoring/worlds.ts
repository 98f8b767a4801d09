// The worlds that the alerts on tunnels are for: how each begins on a real cluster, and how it ends.
// Neighbours: watched-shop.ts is where they happen; operator-worlds.ts has those of the operator; test/cluster/monitoring.test.ts runs two,
// every-alert.ts all.
import { setTimeout as delay } from 'node:timers/promises';
import { generateKey } from '../../lab/private-network/sshd.ts';
import { CommandFailed } from '../../lab/process/command.ts';
import type { WatchedShop } from './watched-shop.ts';

export interface World {
  readonly alert: string;
  readonly begin: (watched: WatchedShop) => Promise<unknown>;
  readonly end: (watched: WatchedShop) => Promise<unknown>;
}

/** A client whose failure is what the world is about. */
const tryClient = ({ shop }: WatchedShop): Promise<unknown> =>
  shop.psql('orders-db', 'select 1').catch((error: unknown) => {
    if (!(error instanceof CommandFailed)) throw error;
  });

export const destinationGone: World = {
  alert: 'PortForwardDestinationUnreachable',
  begin: async (watched) => {
    await watched.network.postgres.kill();
    await tryClient(watched);
  },
  end: ({ network }) => network.postgres.start(),
};

const refuseBoth = ({ network: { bastions } }: WatchedShop): Promise<unknown> =>
  Promise.all([bastions.a.refuse(), bastions.b.refuse()]);
const healBoth = ({ network: { bastions } }: WatchedShop): Promise<unknown> =>
  Promise.all([bastions.a.heal(), bastions.b.heal()]);

export const bastionsGone: World = { alert: 'PortForwardDown', begin: refuseBoth, end: healBoth };

/** Repeats it until the returned function is called. */
export function repeat(what: () => Promise<unknown> | void, everyMs: number): () => Promise<void> {
  const stop = new AbortController();
  const work = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await what();
      await delay(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  };
  const running = work();
  return async () => {
    stop.abort();
    await running;
  };
}

let stopRepeating: () => Promise<void> = async () => {};

const full = (alert: string): World => ({
  alert,
  begin: async (watched) => watched.fill(),
  end: async ({ shop }) => {
    await shop.kubectl(['delete', 'pod', 'client', '--now']);
    await shop.client();
  },
});

export const tunnelWorlds: readonly World[] = [
  destinationGone,
  bastionsGone,
  { alert: 'PortForwardNotReady', begin: refuseBoth, end: healBoth },
  {
    alert: 'PortForwardBastionFailed',
    begin: ({ network }) => network.bastions.a.refuse(),
    end: ({ network }) => network.bastions.a.heal(),
  },
  {
    alert: 'PortForwardCredentialsRefused',
    begin: async ({ shop, network }) => {
      const other = await generateKey(network.bastions.a.directory, { name: 'refused' });
      await shop.secret('bastion', { 'ssh-privatekey': other.privateKey });
    },
    end: ({ shop, network }) => shop.secret('bastion', { 'ssh-privatekey': network.key.privateKey }),
  },
  {
    alert: 'PortForwardSessionsLost',
    begin: async ({ network }) => {
      const { a, b } = network.bastions;
      stopRepeating = repeat(() => {
        a.killSessions();
        b.killSessions();
      }, 1_000);
    },
    end: () => stopRepeating(),
  },
  full('PortForwardPortFull'),
  full('PortForwardNearlyFull'),
  {
    alert: 'PortForwardDialsSlow',
    // Probes give up after a second, and then nobody knows how long the dial would have taken: clients wait.
    begin: async (watched) => {
      await watched.network.silenceDatabase();
      stopRepeating = repeat(() => tryClient(watched), 100);
    },
    end: async ({ network }) => {
      await network.healDatabase();
      await stopRepeating();
    },
  },
  {
    // The operator leaves it alone: it keeps the fields that it wrote, and this one is another's.
    alert: 'PortForwardSlowCrypto',
    begin: ({ shop }) => shop.kubectl(['set', 'env', 'deployment/pf-orders-db', 'NODE_OPTIONS=--no-addons']),
    end: ({ shop }) => shop.kubectl(['set', 'env', 'deployment/pf-orders-db', 'NODE_OPTIONS-']),
  },
];
