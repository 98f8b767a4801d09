// What an administrator decides for a whole install: the only file of the controller that reads flags and environment. Each setting is
// one row of the table, so the parser, `portforward controller --help` and the documentation cannot disagree.
// Neighbours: main.ts (uses them), helm/templates (writes them).
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { LogLevel } from '../../process/log.ts';

interface Flag {
  /** list: comma-separated, and the flag may be repeated. */
  readonly form: 'text' | 'list' | 'switch' | 'number' | 'json';
  readonly help: string;
  readonly default?: string;
  /** Environment variable that is read when the flag is not given. */
  readonly variable?: string;
}

/** Every flag of `portforward controller`. */
export const flags = {
  'tunnel-image': { form: 'text', help: 'Image of the tunnel pods; the same as the controller’s own. Required.' },
  'tunnel-image-pull-policy': { form: 'text', default: 'IfNotPresent', help: 'Always, IfNotPresent or Never.' },
  'tunnel-image-pull-secrets': {
    form: 'list',
    help: 'Names of Secrets to pull the image with, looked up in each tunnel’s namespace.',
  },
  'tunnel-https-proxy': { form: 'text', default: '', help: 'HTTPS_PROXY of tunnel pods with spec.ssm.' },
  'tunnel-no-proxy': { form: 'text', default: '', help: 'NO_PROXY of tunnel pods with spec.ssm.' },
  'tunnel-ca-bundle': {
    form: 'text',
    default: '',
    help: 'Name of a ConfigMap with the key ca.crt in each tunnel’s namespace: certificates that tunnel pods with spec.ssm trust besides the public ones. A missing one is ignored.',
  },
  'tunnel-log-level': { form: 'text', default: 'info', help: 'Of the tunnel pods: debug, info, warn or error.' },
  'class-name': { form: 'text', default: '', help: 'Acts on PortForwards of this className only.' },
  'watch-namespaces': { form: 'list', help: 'Acts in these namespaces only; none: in all.' },
  'allow-insecure-host-keys': { form: 'switch', help: 'Accepts hostKeyPolicy InsecureIgnore. Do not use it.' },
  'allow-node-role': {
    form: 'switch',
    help: 'Lets ssm tunnels without an identity of their own use the AWS role of the node that they run on.',
  },
  'allowed-aws-endpoints': {
    form: 'list',
    help: 'Addresses besides AWS’s own that spec.ssm.endpoints may name, such as https://vpce.example.com:8443.',
  },
  'allowed-annotation-prefixes': {
    form: 'list',
    help: 'What may stand before the slash of an annotation in spec.pod and spec.service, such as sidecar.istio.io/.',
  },
  'allowed-service-types': {
    form: 'list',
    default: 'ClusterIP',
    help: 'Service types that a PortForward may ask for: ClusterIP, NodePort, LoadBalancer.',
  },
  'metrics-scrape-from': {
    form: 'json',
    default: '[]',
    help: 'NetworkPolicyPeers (JSON) that may reach the admin port of tunnel pods, such as Prometheus.',
  },
  'controller-pod-labels': {
    form: 'list',
    default: 'app.kubernetes.io/name=portforward,app.kubernetes.io/component=controller',
    help: 'Labels of the controller’s own pods: tunnel pods let these read their status.',
  },
  'lease-name': { form: 'text', default: 'portforward-controller', help: 'Lease by which replicas elect a leader.' },
  'operator-namespace': { form: 'text', variable: 'POD_NAMESPACE', help: 'Namespace of the controller. Required.' },
  'pod-name': { form: 'text', variable: 'POD_NAME', default: 'portforward-controller', help: 'Name of this pod.' },
  'admin-port': { form: 'number', default: '8080', help: 'Serves /livez, /readyz and /metrics.' },
  workers: { form: 'number', default: '10', help: 'PortForwards reconciled at the same time.' },
  'writes-per-second': {
    form: 'number',
    default: '50',
    help: 'Writes to the API server on average; twice as many in a burst.',
  },
  'rollouts-per-minute': {
    form: 'number',
    default: '60',
    help: 'Tunnels restarted per minute because the operator (not the document) changed.',
  },
  kubeconfig: { form: 'text', default: '', help: 'Kubeconfig file, to run outside a cluster.' },
  context: { form: 'text', default: '', help: 'Context of that file; its current one if absent.' },
  'log-level': { form: 'text', default: 'info', help: 'debug, info, warn or error.' },
} as const satisfies Record<string, Flag>;

type FlagName = keyof typeof flags;

const peer = z.looseObject({});
const labels = z.array(z.string().regex(/^[^=]+=[^=]*$/, 'is written as key=value'));
const names = z.array(z.string().min(1));

const logLevel = z.enum(['debug', 'info', 'warn', 'error']);

const schema = z.object({
  'tunnel-image': z.string('is required').min(1, 'is required'),
  'tunnel-image-pull-policy': z.enum(['Always', 'IfNotPresent', 'Never']),
  'tunnel-image-pull-secrets': names,
  'tunnel-https-proxy': z.string(),
  'tunnel-no-proxy': z.string(),
  'tunnel-ca-bundle': z.string(),
  'tunnel-log-level': logLevel,
  'class-name': z.string().max(63),
  'watch-namespaces': names,
  'allow-insecure-host-keys': z.boolean(),
  'allow-node-role': z.boolean(),
  'allowed-aws-endpoints': z.array(
    z
      .string()
      .regex(/^https:\/\/[A-Za-z0-9.-]+(:[0-9]{1,5})?\/?$/, 'is https:// and a name, with a port if it is not 443'),
  ),
  'allowed-annotation-prefixes': names,
  'allowed-service-types': z.array(z.enum(['ClusterIP', 'NodePort', 'LoadBalancer'])),
  'metrics-scrape-from': z.array(peer),
  'controller-pod-labels': labels,
  'lease-name': z.string().min(1),
  'operator-namespace': z.string('is required').min(1, 'is required'),
  'pod-name': z.string().min(1),
  'admin-port': z.int().min(0).max(65535),
  workers: z.int().min(1).max(100),
  'writes-per-second': z.number().min(1).max(10_000),
  'rollouts-per-minute': z.number().min(1).max(100_000),
  kubeconfig: z.string(),
  context: z.string(),
  'log-level': logLevel,
} satisfies Record<FlagName, z.ZodType>);

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer';

/** What the pure part of the controller needs to know of the install. */
export interface TunnelSettings {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly imagePullSecrets: readonly string[];
  /** '' = none, like every text here. */
  readonly httpsProxy: string;
  readonly noProxy: string;
  readonly caBundle: string;
  readonly logLevel: Exclude<LogLevel, 'silent'>;
  readonly allowInsecureHostKeys: boolean;
  /** Whether ssm tunnels may use the AWS role of their node. */
  readonly allowNodeRole: boolean;
  readonly allowedAwsEndpoints: readonly string[];
  readonly allowedAnnotationPrefixes: readonly string[];
  readonly allowedServiceTypes: readonly ServiceType[];
  /** NetworkPolicyPeers, as the chart's author wrote them. */
  readonly metricsScrapeFrom: readonly Readonly<Record<string, unknown>>[];
  readonly operatorNamespace: string;
  readonly controllerPodLabels: Readonly<Record<string, string>>;
}

export interface Settings {
  readonly tunnel: TunnelSettings;
  readonly className: string;
  /** Empty: all. */
  readonly watchNamespaces: readonly string[];
  readonly leaseName: string;
  readonly podName: string;
  /** 0 takes a free port. */
  readonly adminPort: number;
  readonly workers: number;
  readonly writesPerSecond: number;
  readonly rolloutsPerMinute: number;
  readonly kubeconfig: { readonly file?: string; readonly context?: string };
  readonly logLevel: LogLevel;
}

/** The settings of this process. @throws Error with one line per flag that is wrong. */
export function readSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      entries().map(([name, flag]) => [
        name,
        flag.form === 'switch' ? { type: 'boolean' as const } : { type: 'string' as const, multiple: true },
      ]),
    ),
  });
  const parsed = schema.safeParse(
    Object.fromEntries(entries().map(([name, flag]) => [name, valueOf(name, flag, values[name], environment)])),
  );
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((issue) => `--${issue.path.join('.')} ${issue.message}`).join('\n'));
  }
  const flag = parsed.data;
  return {
    tunnel: {
      image: flag['tunnel-image'],
      imagePullPolicy: flag['tunnel-image-pull-policy'],
      imagePullSecrets: flag['tunnel-image-pull-secrets'],
      httpsProxy: flag['tunnel-https-proxy'],
      noProxy: flag['tunnel-no-proxy'],
      caBundle: flag['tunnel-ca-bundle'],
      logLevel: flag['tunnel-log-level'],
      allowInsecureHostKeys: flag['allow-insecure-host-keys'],
      allowNodeRole: flag['allow-node-role'],
      allowedAwsEndpoints: flag['allowed-aws-endpoints'],
      allowedAnnotationPrefixes: flag['allowed-annotation-prefixes'],
      allowedServiceTypes: flag['allowed-service-types'],
      metricsScrapeFrom: flag['metrics-scrape-from'],
      operatorNamespace: flag['operator-namespace'],
      controllerPodLabels: Object.fromEntries(flag['controller-pod-labels'].map((pair) => split(pair, '='))),
    },
    className: flag['class-name'],
    watchNamespaces: [...new Set(flag['watch-namespaces'])],
    leaseName: flag['lease-name'],
    podName: flag['pod-name'],
    adminPort: flag['admin-port'],
    workers: flag.workers,
    writesPerSecond: flag['writes-per-second'],
    rolloutsPerMinute: flag['rollouts-per-minute'],
    kubeconfig: {
      ...(flag.kubeconfig === '' ? {} : { file: flag.kubeconfig }),
      ...(flag.context === '' ? {} : { context: flag.context }),
    },
    logLevel: flag['log-level'],
  };
}

/** The flags as text, for `--help` and the documentation. */
export function flagsHelp(): string {
  return entries()
    .map(([name, flag]) => {
      const source = flag.variable === undefined ? '' : ` Environment: ${flag.variable}.`;
      const initial = flag.default === undefined || flag.default === '' ? '' : ` Default: ${flag.default}.`;
      return `  --${name}\n      ${flag.help}${source}${initial}`;
    })
    .join('\n');
}

const entries = (): [FlagName, Flag][] => Object.entries(flags) as [FlagName, Flag][];

function valueOf(
  name: string,
  flag: Flag,
  given: string | boolean | (string | boolean)[] | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): unknown {
  if (flag.form === 'switch') return given === true;
  const texts = Array.isArray(given) ? given.map(String) : undefined;
  const fallback = (flag.variable === undefined ? undefined : environment[flag.variable]) ?? flag.default;
  if (flag.form === 'list') {
    return (texts ?? [fallback ?? ''])
      .flatMap((text) => text.split(','))
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }
  const text = texts?.at(-1) ?? fallback;
  if (flag.form === 'number') return text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  if (flag.form === 'json') return parseJson(name, text ?? '');
  return text;
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`--${name} is not JSON`);
  }
}

function split(pair: string, separator: string): [string, string] {
  const at = pair.indexOf(separator);
  return [pair.slice(0, at), pair.slice(at + 1)];
}
