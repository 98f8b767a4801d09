// Where a process sends its traces, if an administrator wants any. Never part of the tunnel config: these stand in the arguments of the pods,
// and the chart's admission policy admits them only as the chart has them.
// Neighbours: process/span.ts (what is traced), process/otlp.ts (sends it), controller/children/pod.ts (the arguments), main.ts (parses them).

export interface Tracing {
  /** Where an OTLP receiver takes HTTP with JSON, such as `http://collector.observability:4318`; '' = nothing is traced. */
  readonly endpoint: string;
  /** Names of HTTP headers that are sent. The value of each is the file of that name in `tracingDirectory`. */
  readonly headers: readonly string[];
}

export const noTracing: Tracing = { endpoint: '', headers: [] };

/** Where the Secret with the headers' values is mounted. */
export const tracingDirectory = '/etc/portforward/tracing';

/** The options of `portforward sidecar`. */
export const traceEndpointOption = '--trace-endpoint';
export const traceHeaderOption = '--trace-header';

/** As arguments of `portforward sidecar`: none where nothing is traced. */
export function tracingArguments({ endpoint, headers }: Tracing): string[] {
  if (endpoint === '') return [];
  return [`${traceEndpointOption}=${endpoint}`, ...headers.map((name) => `${traceHeaderOption}=${name}`)];
}
