// Forwards of a command → ports of the document. The destination's own port becomes the port of the Service, because in a cluster it is free.
// Neighbours: ssh-command.ts, aws-command.ts and fly-command.ts have the forwards.
import { defined } from '../../contract/defined.ts';
import type { DocumentPort, OptionOutcome } from './outcome.ts';

/** One forward, as the command means it. */
export interface WantedForward {
  /** As written, for the report: `-L 15432:orders.db:5432`. */
  readonly option: string;
  readonly origin?: string;
  /** Absent: the command listens on a socket. */
  readonly localPort?: number;
  /** Absent: the driver's default, the far machine itself. */
  readonly host?: string;
  readonly destination: { readonly port: number } | { readonly socket: string };
}

interface MappedPorts {
  readonly ports: readonly DocumentPort[];
  readonly outcomes: readonly OptionOutcome[];
  readonly localPorts: ReadonlyMap<number, number>;
}

/** What usually listens there. A wrong guess would show as a tunnel that is not Ready, so there are few. */
const protocols: Readonly<Record<number, string>> = { 5432: 'postgresql', 3306: 'mysql', 6379: 'redis', 80: 'http' };
const names: Readonly<Record<string, string>> = {
  postgresql: 'postgres',
  mysql: 'mysql',
  redis: 'redis',
  http: 'http',
};

export function mapPorts(forwards: readonly WantedForward[], keepLocalPorts: boolean): MappedPorts {
  const ports: DocumentPort[] = [];
  const outcomes: OptionOutcome[] = [];
  const localPorts = new Map<number, number>();
  for (const { option, origin, localPort, host, destination } of forwards) {
    const far = 'port' in destination ? destination.port : undefined;
    const taken = (port: number): boolean => ports.some((each) => each.port === port);
    const first = keepLocalPorts ? (localPort ?? far) : (far ?? localPort);
    const port =
      first === undefined || taken(first) ? [localPort, far].find((each) => each !== undefined && !taken(each)) : first;
    if (port === undefined) {
      const why =
        first === undefined
          ? 'a Service has ports, not sockets: give a local port'
          : `port ${first} of the Service is taken by another forward`;
      outcomes.push({ option, ...defined({ origin }), verdict: 'notPossible', why });
      continue;
    }
    const appProtocol = far === undefined ? protocolOfSocket(destination) : protocols[far];
    const name = appProtocol === undefined ? undefined : names[appProtocol];
    ports.push({
      port,
      ...defined({
        name: ports.some((each) => each.name === name) ? undefined : name,
        destinationHost: host,
        destinationPort: far === port ? undefined : far,
        destinationSocket: 'socket' in destination ? destination.socket : undefined,
        appProtocol,
      }),
    });
    if (localPort !== undefined) localPorts.set(port, localPort);
    outcomes.push({ option, ...defined({ origin }), verdict: 'kept', why: whyOf(port, localPort, far, appProtocol) });
  }
  return { ports, outcomes, localPorts };
}

/** PostgreSQL's sockets are named by its port. */
const protocolOfSocket = (destination: WantedForward['destination']): string | undefined =>
  'socket' in destination && /\/\.s\.PGSQL\.\d+$/.test(destination.socket) ? 'postgresql' : undefined;

function whyOf(
  port: number,
  localPort: number | undefined,
  far: number | undefined,
  appProtocol: string | undefined,
): string {
  const moved =
    localPort === undefined || port === localPort
      ? `port ${port} of the Service`
      : `port ${port} of the Service, the destination’s own; ${localPort} was free on this machine only (--keep-local-ports keeps it)`;
  const collided =
    far !== undefined && port === localPort && port !== far ? `, because ${far} is taken or you keep local ports` : '';
  return `${moved}${collided}${appProtocol === undefined ? '' : `; appProtocol ${appProtocol}, by the destination’s port`}`;
}

/** What names of private networks end with: it says nothing. */
const privateEnding = /\.(?:internal|local|localdomain|lan|corp|home\.arpa)$/;

/** A name for the document: the destination's, else the bastion's. At most 52 characters, beginning with a letter. */
export function nameFor(forwards: readonly WantedForward[], fallback: string): string {
  const isName = (host: string): boolean => /[a-z]/i.test(host) && !host.includes(':') && host !== 'localhost';
  const host = forwards.map((forward) => forward.host ?? '').find(isName) ?? fallback;
  const labels = host.toLowerCase().replace(privateEnding, '').split('.');
  const words = labels.length <= 2 ? labels : labels.slice(0, 1);
  const name = words
    .join('-')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 52)
    .replace(/-+$/, '');
  return name === '' ? 'tunnel' : name;
}
