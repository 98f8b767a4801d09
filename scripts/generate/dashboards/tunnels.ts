// The dashboard of the tunnels: whether they carry, what clients do, what becomes of sessions and dials, and what the pods cost.
// Neighbours: dashboard.ts makes the JSON; src/sidecar/metrics.ts has the series.
import { type Dashboard, dashboardJson, type Row } from './dashboard.ts';

const of = 'namespace=~"$namespace",portforward_dev_name=~"$tunnel"';
const series = (name: string, matchers = ''): string => `portforward_tunnel_${name}{${matchers}${of}}`;
const rate = (name: string): string => `rate(${series(name)}[$__rate_interval])`;
const dials = (q: number): string => `histogram_quantile(${q}, sum by (le) (${rate('dial_duration_seconds_bucket')}))`;
const tunnel = 'namespace, portforward_dev_name';
const tunnelLegend = '{{namespace}}/{{portforward_dev_name}}';

const now: Row = {
  title: 'Now',
  panels: [
    {
      type: 'stat',
      title: 'Ready pods',
      about: 'Pods that the Services send clients to.',
      queries: [[`sum(${series('ready')})`, 'ready']],
    },
    {
      type: 'stat',
      title: 'Tunnels without a ready pod',
      about: 'Their clients are refused.',
      redFrom: 1,
      queries: [[`count(max by (${tunnel}) (${series('ready')}) == 0) or vector(0)`, 'down']],
    },
    {
      type: 'stat',
      title: 'Clients now',
      about: 'Connections that are open.',
      queries: [[`sum(${series('open_connections')})`, 'connections']],
    },
    {
      type: 'stat',
      title: 'Failed bastions',
      about: 'Bastions (ssm: nodes, fly: gateways) that cannot be used, seen by each pod.',
      redFrom: 1,
      queries: [[`sum(${series('routes', 'state="Failed",')})`, 'failed']],
    },
    {
      type: 'stat',
      title: 'Refused credentials',
      about: 'Bastions that refuse what the Secrets hold now, seen by each pod.',
      redFrom: 1,
      queries: [[`sum(${series('credentials_refused')})`, 'refused']],
    },
    {
      type: 'stat',
      title: 'Full ports',
      about: 'Ports that refuse clients because a pod carries all that it may.',
      redFrom: 1,
      queries: [[`sum(${series('port_full')})`, 'full']],
    },
  ],
};

const clients: Row = {
  title: 'Clients',
  panels: [
    {
      title: 'Bytes',
      about: 'To and from the destinations.',
      unit: 'Bps',
      queries: [[`sum by (direction) (${rate('bytes_total')})`, '{{direction}}']],
    },
    {
      title: 'Open connections',
      about: 'Of each tunnel, over its pods.',
      queries: [[`sum by (${tunnel}) (${series('open_connections')})`, tunnelLegend]],
    },
    {
      title: 'Connections in use',
      about: 'The fullest pod: open connections beside the most that it may carry.',
      unit: 'percentunit',
      queries: [[`max by (${tunnel}) (${series('open_connections')} / ${series('max_connections')})`, tunnelLegend]],
    },
    {
      title: 'New connections',
      about: 'By tunnel and port.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}, port) (${rate('connections_total')})`, `${tunnelLegend} {{port}}`]],
    },
    {
      title: 'Clients that were reset or told a reason',
      about: 'By cause; limit: the pod carries all that it may.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}, cause) (${rate('client_resets_total')})`, `${tunnelLegend} {{cause}}`]],
    },
    {
      title: 'Reachable destinations',
      about: '1 if the last result was a success, by tunnel and port.',
      queries: [[`max by (${tunnel}, port) (${series('destination_reachable')})`, `${tunnelLegend} {{port}}`]],
    },
  ],
};

const sessions: Row = {
  title: 'Sessions and bastions',
  panels: [
    {
      title: 'Sessions by role',
      about: 'Suspect: silent for too long.',
      stacked: true,
      queries: [[`sum by (part) (${series('sessions')})`, '{{part}}']],
    },
    {
      title: 'Lost sessions',
      about: 'By reason; each breaks the connections that it carried.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}, code) (${rate('sessions_lost_total')})`, `${tunnelLegend} {{code}}`]],
    },
    {
      title: 'Failed attempts to open a session',
      about: 'By reason.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}, code) (${rate('connect_failures_total')})`, `${tunnelLegend} {{code}}`]],
    },
    {
      title: 'Bastions by state',
      about: 'As each pod sees them.',
      stacked: true,
      queries: [[`sum by (state) (${series('routes')})`, '{{state}}']],
    },
    {
      title: 'Opened sessions',
      about: 'Many without a change of the document: sessions are lost.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}) (${rate('sessions_opened_total')})`, tunnelLegend]],
    },
    {
      title: 'Streams',
      about: 'Over all sessions, with dials under way.',
      queries: [[`sum by (${tunnel}) (${series('streams')})`, tunnelLegend]],
    },
  ],
};

const ways: Row = {
  title: 'Dials',
  panels: [
    {
      title: 'Time of a dial',
      about: 'Until the bastion has reached the destination.',
      unit: 's',
      queries: [
        [dials(0.5), 'median'],
        [dials(0.95), '95 of 100'],
        [dials(0.99), '99 of 100'],
      ],
    },
    {
      title: 'Failed dials',
      about: 'By reason.',
      unit: 'ops',
      queries: [[`sum by (${tunnel}, code) (${rate('dial_failures_total')})`, `${tunnelLegend} {{code}}`]],
    },
    {
      title: 'Last handshake (fly)',
      about: 'A tunnel that carries makes one every two minutes.',
      unit: 's',
      queries: [
        [`max by (${tunnel}, transport) (${series('handshake_age_seconds')})`, `${tunnelLegend} {{transport}}`],
      ],
    },
    {
      title: 'Largest message (ssm)',
      about: '16 KiB; 1 KiB where the node’s relay does not carry more, which is slow.',
      unit: 'bytes',
      queries: [[`min by (${tunnel}, via) (${series('message_bytes')})`, `${tunnelLegend} {{via}}`]],
    },
  ],
};

const costs: Row = {
  title: 'Pods',
  panels: [
    {
      title: 'Memory',
      about: 'The largest pod of each tunnel.',
      unit: 'bytes',
      queries: [[`max by (${tunnel}) (process_resident_memory_bytes{portforward_dev_name!="",${of}})`, tunnelLegend]],
    },
    {
      title: 'CPU',
      about: 'Cores, over the pods of each tunnel.',
      queries: [
        [
          `sum by (${tunnel}) (rate(process_cpu_seconds_total{portforward_dev_name!="",${of}}[$__rate_interval]))`,
          tunnelLegend,
        ],
      ],
    },
    {
      title: 'Buffered bytes',
      about: 'The fullest pod; its budget is 64 MiB.',
      unit: 'bytes',
      queries: [[`max by (${tunnel}) (${series('buffered_bytes')})`, tunnelLegend]],
    },
    {
      title: 'Native ciphers (ssh)',
      about: '1 if ssh’s ciphers run natively, 0 if in slower JavaScript.',
      queries: [[`min by (${tunnel}) (${series('native_crypto')})`, tunnelLegend]],
    },
  ],
};

const dashboard: Dashboard = {
  uid: 'portforward-tunnels',
  title: 'PortForward / tunnels',
  description: 'The tunnels: whether they carry, what clients do, what becomes of sessions, and what the pods cost.',
  variables: [
    { name: 'namespace', label: 'Namespace', query: 'label_values(portforward_tunnel_ready, namespace)' },
    {
      name: 'tunnel',
      label: 'PortForward',
      query: 'label_values(portforward_tunnel_ready{namespace=~"$namespace"}, portforward_dev_name)',
    },
  ],
  rows: [now, clients, sessions, ways, costs],
};

/** `helm/files/dashboards/tunnels.json`. */
export const tunnelsDashboard = (): string => dashboardJson(dashboard);
