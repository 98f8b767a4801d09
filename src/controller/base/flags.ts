// Every setting of the controller as one row: its flag, form, schema, default, help, and the field of `Settings` that it becomes. A new
// setting is a row here and a line in the chart.
// Neighbours: settings.ts reads them, helm/templates writes them.
import { z } from 'zod';

export interface Flag {
  /** The field of `Settings`, such as `workers` or `tunnel.image`. */
  readonly to: string;
  /** list: comma-separated, and the flag may be repeated. */
  readonly form: 'text' | 'list' | 'switch' | 'number' | 'json';
  /** Takes what the form gives: a string, strings, a boolean, a number, or any JSON. */
  readonly schema: z.ZodType;
  readonly default?: string;
  /** Environment variable that is read when the flag is not given. */
  readonly variable?: string;
  readonly help: string;
}

const text = z.string();
const names = z.array(z.string().min(1));
const required = z.string('is required').min(1, 'is required');
const optional = z.string().transform((value) => (value === '' ? undefined : value));
const logLevel = z.enum(['debug', 'info', 'warn', 'error']);
const labels = z
  .array(z.string().regex(/^[^=]+=[^=]*$/, 'is written as key=value'))
  .transform((pairs) => Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string])));
const origin = z
  .string()
  .regex(/^https:\/\/[A-Za-z0-9.-]+(:[0-9]{1,5})?\/?$/, 'is https:// and a name, with a port if it is not 443');

const receiver = z
  .string()
  .regex(/^https?:\/\/[A-Za-z0-9.-]+(:[0-9]{1,5})?(\/[A-Za-z0-9._/-]*)?$/, 'is http:// or https:// with a name');

/** Every flag of `portforward controller`. */
export const flags = {
  'tunnel-image': {
    to: 'tunnel.image',
    form: 'text',
    schema: required,
    help: 'Image of the tunnel pods; the same as the controller’s own. Required.',
  },
  'tunnel-image-pull-policy': {
    to: 'tunnel.imagePullPolicy',
    form: 'text',
    schema: z.enum(['Always', 'IfNotPresent', 'Never']),
    default: 'IfNotPresent',
    help: 'Always, IfNotPresent or Never.',
  },
  'tunnel-image-pull-secrets': {
    to: 'tunnel.imagePullSecrets',
    form: 'list',
    schema: names,
    help: 'Names of Secrets to pull the image with, looked up in each tunnel’s namespace.',
  },
  'tunnel-https-proxy': {
    to: 'tunnel.httpsProxy',
    form: 'text',
    schema: text,
    default: '',
    help: 'HTTPS_PROXY of tunnel pods with spec.ssm.',
  },
  'tunnel-no-proxy': {
    to: 'tunnel.noProxy',
    form: 'text',
    schema: text,
    default: '',
    help: 'NO_PROXY of tunnel pods with spec.ssm.',
  },
  'tunnel-ca-bundle': {
    to: 'tunnel.caBundle',
    form: 'text',
    schema: text,
    default: '',
    help: 'Name of a ConfigMap with the key ca.crt in each tunnel’s namespace: certificates that tunnel pods with spec.ssm trust besides the public ones. A missing one is ignored.',
  },
  'tunnel-log-level': {
    to: 'tunnel.logLevel',
    form: 'text',
    schema: logLevel,
    default: 'info',
    help: 'Log level of the tunnel pods: debug, info, warn or error.',
  },
  'no-native-data-path': {
    to: 'tunnel.noNativeDataPath',
    form: 'switch',
    schema: z.boolean(),
    help: 'Keeps the native engine off in tunnels with spec.ssh: their bytes cost more CPU time.',
  },
  'class-name': {
    to: 'className',
    form: 'text',
    schema: z.string().max(63),
    default: '',
    help: 'Acts only on PortForwards of this className.',
  },
  'watch-namespaces': {
    to: 'tunnel.watchNamespaces',
    form: 'list',
    schema: names.transform((each) => [...new Set(each)]),
    help: 'Acts only in these namespaces. None: in all.',
  },
  'allow-insecure-host-keys': {
    to: 'tunnel.allowInsecureHostKeys',
    form: 'switch',
    schema: z.boolean(),
    help: 'Accepts hostKeyPolicy InsecureIgnore. Do not use it.',
  },
  'allow-node-role': {
    to: 'tunnel.allowNodeRole',
    form: 'switch',
    schema: z.boolean(),
    help: 'Lets ssm tunnels without an identity of their own use the AWS role of the node that they run on.',
  },
  'allowed-aws-endpoints': {
    to: 'tunnel.allowedAwsEndpoints',
    form: 'list',
    schema: z.array(origin),
    help: 'Addresses besides AWS’s own that spec.ssm.endpoints may name, such as https://vpce.example.com:8443.',
  },
  'fly-api-url': {
    to: 'tunnel.flyApiUrl',
    form: 'text',
    schema: z.literal('').or(origin),
    default: '',
    help: 'Another address of fly.io’s API for tunnels with spec.fly, such as https://fly-api.example.com. It gets their tokens.',
  },
  'allowed-annotation-prefixes': {
    to: 'tunnel.allowedAnnotationPrefixes',
    form: 'list',
    schema: names,
    help: 'What may stand before the slash of an annotation in spec.pod and spec.service, such as sidecar.istio.io/.',
  },
  'allowed-labels': {
    to: 'tunnel.allowedLabels',
    form: 'list',
    schema: names,
    help: 'Labels that spec.pod and spec.service may add: whole keys such as team, or prefixes that end with a slash, such as example.com/.',
  },
  'allowed-priority-classes': {
    to: 'tunnel.allowedPriorityClasses',
    form: 'list',
    schema: names,
    help: 'Priority classes that spec.pod.priorityClassName may name.',
  },
  'allowed-service-types': {
    to: 'tunnel.allowedServiceTypes',
    form: 'list',
    schema: z.array(z.enum(['ClusterIP', 'NodePort', 'LoadBalancer'])),
    default: 'ClusterIP',
    help: 'Service types that a PortForward may ask for: ClusterIP, NodePort, LoadBalancer.',
  },
  'metrics-scrape-from': {
    to: 'tunnel.metricsScrapeFrom',
    form: 'json',
    schema: z.array(z.looseObject({})),
    default: '[]',
    help: 'NetworkPolicyPeers (JSON) that may reach the admin port of tunnel pods, such as Prometheus.',
  },
  'trace-endpoint': {
    to: 'tunnel.traceEndpoint',
    form: 'text',
    schema: z.literal('').or(receiver),
    default: '',
    help: 'Where controller and tunnel pods send traces by OTLP (HTTP with JSON), such as http://collector.observability:4318. None: nothing is traced.',
  },
  'trace-headers': {
    to: 'tunnel.traceHeaders',
    form: 'list',
    schema: z.array(z.string().regex(/^[a-z0-9-]+$/, 'is a header’s name in small letters')),
    help: 'Names of HTTP headers that are sent with traces.',
  },
  'trace-headers-secret': {
    to: 'tunnel.traceHeadersSecret',
    form: 'text',
    schema: text,
    default: '',
    help: 'Name of the Secret with a key for each of these headers, in the namespace of the controller and of each tunnel.',
  },
  'controller-pod-labels': {
    to: 'tunnel.controllerPodLabels',
    form: 'list',
    schema: labels,
    default: 'app.kubernetes.io/name=portforward,app.kubernetes.io/component=controller',
    help: 'Labels of the controller’s own pods: tunnel pods let these read their status.',
  },
  'lease-name': {
    to: 'tunnel.leaseName',
    form: 'text',
    schema: z.string().min(1),
    default: 'portforward-controller',
    help: 'Lease by which replicas elect a leader. With the namespace of the controller it names this install on the objects of its tunnels.',
  },
  'operator-namespace': {
    to: 'tunnel.operatorNamespace',
    form: 'text',
    schema: required,
    variable: 'POD_NAMESPACE',
    help: 'Namespace of the controller. Required.',
  },
  'pod-name': {
    to: 'podName',
    form: 'text',
    schema: z.string().min(1),
    default: 'portforward-controller',
    variable: 'POD_NAME',
    help: 'Name of this pod.',
  },
  'pod-uid': {
    to: 'podUid',
    form: 'text',
    schema: text,
    default: '',
    variable: 'POD_UID',
    help: 'UID of this pod, for Events about it.',
  },
  'admission-policies': {
    to: 'admissionPolicies',
    form: 'text',
    schema: text,
    default: '',
    help: 'What the names of the admission policies on this controller begin with. It checks that they act; without a name it checks nothing.',
  },
  'admin-port': {
    to: 'adminPort',
    form: 'number',
    schema: z.int().min(0).max(65535),
    default: '8080',
    help: 'Serves /livez, /readyz and /metrics. 0: a free port.',
  },
  'portforward-series': {
    to: 'portForwardSeries',
    form: 'number',
    schema: z.int().min(0).max(100_000),
    default: '0',
    help: 'How many PortForwards at most have series of their own in /metrics. 0: none.',
  },
  workers: {
    to: 'workers',
    form: 'number',
    schema: z.int().min(1).max(100),
    default: '10',
    help: 'PortForwards reconciled at the same time.',
  },
  'writes-per-second': {
    to: 'writesPerSecond',
    form: 'number',
    schema: z.number().min(1).max(10_000),
    default: '50',
    help: 'Writes to the API server on average; twice as many in a burst.',
  },
  'rollouts-per-minute': {
    to: 'rolloutsPerMinute',
    form: 'number',
    schema: z.number().min(1).max(100_000),
    default: '60',
    help: 'Tunnels restarted per minute because the operator (not the document) changed.',
  },
  kubeconfig: {
    to: 'kubeconfig.file',
    form: 'text',
    schema: optional,
    default: '',
    help: 'Kubeconfig file, to run outside a cluster.',
  },
  context: {
    to: 'kubeconfig.context',
    form: 'text',
    schema: optional,
    default: '',
    help: 'Context of that file. Default: its current one.',
  },
  'log-level': {
    to: 'logLevel',
    form: 'text',
    schema: logLevel,
    default: 'info',
    help: 'debug, info, warn or error.',
  },
} as const satisfies Record<string, Flag>;
