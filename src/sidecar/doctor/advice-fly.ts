// For a fault on the way through fly.io: the call of flyctl that shows its cause. Pure. Neighbour: advice.ts.
import type { Code } from '../../contract/errors.ts';
import type { FlyConfig } from '../../contract/tunnel-config.ts';
import { shellWord } from './shell-word.ts';
import type { Advice } from './step.ts';

/** None if the sentence of the code says all. */
export function flyAdviceFor(code: Code, { app, org }: FlyConfig): Advice[] {
  const flyctl = (command: string): Advice => ({ where: 'with flyctl', command: `flyctl ${command}` });
  const token = [flyctl('auth whoami')];
  const machines = app === undefined ? [] : [flyctl(`machine list -a ${shellWord(app)}`)];
  const peers = [flyctl(org === undefined ? 'wireguard list' : `wireguard list ${shellWord(org)}`)];
  const table: Partial<Record<Code, readonly Advice[]>> = {
    TokenRefused: token,
    TokenExpired: token,
    AppNotFound: [flyctl('apps list')],
    OrganizationNotFound: [flyctl('orgs list')],
    GatewayNotFound: [flyctl('platform regions')],
    PeerRefused: peers,
    FlyApiFailed: [flyctl('doctor')],
    TunnelDown: [flyctl('doctor'), ...peers],
    NoRunningMachines: machines,
    DestinationNameNotResolved: machines,
  };
  return [...(table[code] ?? [])];
}
