// The dashboard of the operator: who leads, what is not Ready, whether passes succeed and keep up, and what it costs.
// Neighbours: dashboard.ts makes the JSON; src/controller/metrics.ts and src/controller/kube/base/metrics.ts have the series.
import { type Dashboard, dashboardJson, type Row } from './dashboard.ts';

const of = 'namespace=~"$namespace",job=~"$job"';
const rate = (series: string, matchers = ''): string => `rate(${series}{${matchers}${of}}[$__rate_interval])`;
const quantile = (q: number, series: string, by = ''): string =>
  `histogram_quantile(${q}, sum by (le${by}) (${rate(`${series}_bucket`)}))`;
/** Every replica reports the same objects. */
const once = (series: string, labels: string, matchers = ''): string =>
  `max by (namespace, job, ${labels}) (${series}{${matchers}${of}})`;

const now: Row = {
  title: 'Now',
  panels: [
    {
      type: 'stat',
      title: 'Leaders',
      about: 'One for each install. Without a leader tunnels carry on, and changes wait.',
      queries: [[`sum(leader_election_master_status{${of}})`, 'leaders']],
    },
    {
      type: 'stat',
      title: 'All PortForwards',
      about: 'All that the operator keeps.',
      queries: [[`sum(${once('portforward_resources', 'driver, ready, reason')})`, 'PortForwards']],
    },
    {
      type: 'stat',
      title: 'Not Ready',
      about: 'Without those that are suspended or scaled to zero.',
      redFrom: 1,
      queries: [
        [
          `sum(${once('portforward_resources', 'driver, ready, reason', 'ready!="True",reason!~"Suspended|ScaledToZero",')}) or vector(0)`,
          'not Ready',
        ],
      ],
    },
    {
      type: 'stat',
      title: 'Tunnel pods',
      about: 'Pods of all tunnels, in every state.',
      queries: [[`sum(${once('portforward_tunnels', 'driver, state')})`, 'pods']],
    },
    {
      type: 'stat',
      title: 'Rollouts waiting',
      about: 'Deployments whose pods wait to be replaced after an upgrade of the operator.',
      queries: [[`max(portforward_rollouts_waiting{${of}})`, 'Deployments']],
    },
    {
      type: 'stat',
      title: 'Policies that do not act',
      about: 'Admission policies of the chart that do not restrict the operator.',
      redFrom: 1,
      queries: [[`sum(max by (policy) (portforward_uncaged{${of}}))`, 'policies']],
    },
  ],
};

const tunnels: Row = {
  title: 'PortForwards',
  panels: [
    {
      title: 'PortForwards by Ready and reason',
      about: 'The condition Ready. docs/errors.md has a section for each reason.',
      stacked: true,
      queries: [
        [`sum by (ready, reason) (${once('portforward_resources', 'driver, ready, reason')})`, '{{ready}} {{reason}}'],
      ],
    },
    {
      title: 'Tunnel pods by state',
      about: 'What the operator reads from the pods.',
      stacked: true,
      queries: [[`sum by (state) (${once('portforward_tunnels', 'driver, state')})`, '{{state}}']],
    },
    {
      title: 'Reads of tunnel pods',
      about: 'The operator asks each pod for its state. Errors: it does not reach port 9808.',
      unit: 'ops',
      queries: [[`sum by (result) (${rate('portforward_statusz_reads_total')})`, '{{result}}']],
    },
    {
      title: 'Repaired objects',
      about: 'Objects of tunnels that somebody else changed or deleted.',
      unit: 'ops',
      queries: [[`sum(${rate('portforward_repairs_total')})`, 'repaired']],
    },
    {
      title: 'Writes of a status',
      about: 'Few while nothing changes.',
      unit: 'ops',
      queries: [[`sum(${rate('portforward_status_writes_total')})`, 'status']],
    },
    {
      title: 'PortForwards of other installs',
      about: 'Of the same class. More than 0: two installs serve one class.',
      queries: [[`max by (namespace, job) (portforward_of_other_installs{${of}})`, '{{namespace}}']],
    },
  ],
};

const passes: Row = {
  title: 'Passes',
  panels: [
    {
      title: 'Passes by result',
      about: 'One pass carries out one PortForward.',
      unit: 'ops',
      queries: [[`sum by (result) (${rate('controller_runtime_reconcile_total')})`, '{{result}}']],
    },
    {
      title: 'Time of a pass',
      about: 'Including the requests to the API server.',
      unit: 's',
      queries: [
        [quantile(0.5, 'controller_runtime_reconcile_time_seconds'), 'median'],
        [quantile(0.99, 'controller_runtime_reconcile_time_seconds'), '99 of 100'],
      ],
    },
    {
      title: 'Busy workers',
      about: 'At their limit the queue grows.',
      queries: [
        [`sum(controller_runtime_active_workers{${of}})`, 'busy'],
        [`max(controller_runtime_max_concurrent_reconciles{${of}})`, 'limit of the leader'],
      ],
    },
    {
      title: 'PortForwards that wait',
      about: 'The depth of the queue.',
      queries: [[`sum by (name) (workqueue_depth{${of}})`, '{{name}}']],
    },
    {
      title: 'Time in the queue',
      about: 'In steps of tens, so the values are coarse.',
      unit: 's',
      queries: [[quantile(0.99, 'workqueue_queue_duration_seconds'), '99 of 100']],
    },
    {
      title: 'Repeats',
      about: 'Passes that are tried again after a failure.',
      unit: 'ops',
      queries: [[`sum(${rate('workqueue_retries_total')})`, 'repeats']],
    },
  ],
};

const api: Row = {
  title: 'API server',
  panels: [
    {
      title: 'Requests by code',
      about: 'Near zero while nothing changes.',
      unit: 'ops',
      queries: [[`sum by (method, code) (${rate('rest_client_requests_total')})`, '{{method}} {{code}}']],
    },
    {
      title: 'Time until a response begins',
      about: '99 of 100 requests, by verb.',
      unit: 's',
      queries: [[quantile(0.99, 'rest_client_request_duration_seconds', ', verb'), '{{verb}}']],
    },
    {
      title: 'Silence of the watches',
      about: 'Time since the last event. The API server sends a bookmark about once a minute.',
      unit: 's',
      queries: [[`time() - max by (pod, kind) (reflector_last_activity_seconds{${of}})`, '{{pod}} {{kind}}']],
    },
  ],
};

const costs: Row = {
  title: 'Process',
  panels: [
    {
      title: 'Memory',
      about: 'Resident memory of each replica; the limit is the chart’s controller.resources.',
      unit: 'bytes',
      queries: [[`process_resident_memory_bytes{${of}}`, '{{pod}}']],
    },
    {
      title: 'CPU',
      about: 'Cores that each replica uses.',
      queries: [[rate('process_cpu_seconds_total'), '{{pod}}']],
    },
    {
      title: 'Delay of the event loop',
      about: '99 of 100 turns.',
      unit: 's',
      queries: [[`nodejs_eventloop_lag_p99_seconds{${of}}`, '{{pod}}']],
    },
  ],
};

const dashboard: Dashboard = {
  uid: 'portforward-operator',
  title: 'PortForward / operator',
  description: 'The operator: who leads, what is not Ready, whether it keeps up, and what it costs.',
  variables: [
    { name: 'namespace', label: 'Namespace', query: 'label_values(portforward_resources, namespace)' },
    { name: 'job', label: 'Job', query: 'label_values(portforward_resources{namespace=~"$namespace"}, job)' },
  ],
  rows: [now, tunnels, passes, api, costs],
};

/** `helm/files/dashboards/operator.json`. */
export const operatorDashboard = (): string => dashboardJson(dashboard);
