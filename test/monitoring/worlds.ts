// The worlds that the alerts are for: how each begins on a real cluster, and how it ends.
// Neighbours: watched-shop.ts is where they happen; test/cluster/monitoring.test.ts runs them.
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

export const bastionsGone: World = {
  alert: 'PortForwardDown',
  begin: ({ network: { bastions } }) => Promise.all([bastions.a.refuse(), bastions.b.refuse()]),
  end: ({ network: { bastions } }) => Promise.all([bastions.a.heal(), bastions.b.heal()]),
};
