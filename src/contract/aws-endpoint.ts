// Which addresses may get signed requests and session tokens: AWS's own for the region, over TLS, or those that the operator's
// administrator allowed. Checked before anything is signed, because an address may come from the document or from the far side. No I/O.
import { errorCodes } from './error-codes.ts';
import { TunnelError } from './errors.ts';

const suffixes = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'api.aws',
  'amazonaws.eu',
  'c2s.ic.gov',
  'sc2s.sgov.gov',
  'csp.hci.ic.gov',
];

export type AwsService = 'ssm' | 'ssmmessages' | 'sts' | 'ecs';

export interface EndpointPolicy {
  readonly region: string;
  /** Origins allowed besides AWS's: `https://vpce.example.com:8443`. `http` only on a loopback address. */
  readonly allowed: readonly string[];
}

/** The address as a URL if it may be used for the service. @throws TunnelError EndpointNotAllowed with the address's origin only. */
export function checkedEndpoint(text: string, service: AwsService, policy: EndpointPolicy): URL {
  const url = URL.parse(text);
  if (url === null)
    throw new TunnelError(
      'EndpointNotAllowed',
      `an address for ${service} is not a URL: write it as https://vpce.example.com:8443`,
    );
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  const clean = url.username === '' && url.password === '' && url.hash === '';
  const standardPort = url.port === '' || url.port === '443';
  if (clean && secure && standardPort && isAwsHost(url.hostname, service, policy.region)) return url;
  if (clean && (secure || isLoopback(url.hostname)) && policy.allowed.some((one) => isSameOrigin(one, text))) {
    return url;
  }
  throw new TunnelError(
    'EndpointNotAllowed',
    `${originOf(text)} is neither AWS’s ${service} of ${policy.region} nor an allowed endpoint. ${errorCodes.EndpointNotAllowed.remedy}`,
  );
}

/** Nothing if every endpoint that is given may be used. @throws TunnelError EndpointNotAllowed that names the field of the document. */
export function checkEndpoints(
  endpoints: Readonly<Partial<Record<AwsService, string>>> | undefined,
  policy: EndpointPolicy,
): void {
  for (const [service, text] of Object.entries(endpoints ?? {})) {
    if (text === '') continue;
    try {
      checkedEndpoint(text, service as AwsService, policy);
    } catch (cause) {
      if (!(cause instanceof TunnelError)) throw cause;
      throw new TunnelError(cause.code, `spec.ssm.endpoints.${service}: ${cause.message}`, { cause });
    }
  }
}

/** The web socket address with its host replaced: how a private endpoint with a name of its own is reached. Path and query stay as they are. */
export function throughEndpoint(streamUrl: string, endpoint: string): string {
  const from = URL.parse(streamUrl);
  const to = URL.parse(endpoint);
  if (from === null || to === null) return streamUrl;
  // Cut out of the text: a rebuilt query would be another one to the service.
  const rest = streamUrl.slice(streamUrl.indexOf(from.pathname, streamUrl.indexOf('://') + 3));
  const scheme = to.protocol === 'http:' || to.protocol === 'ws:' ? 'ws:' : 'wss:';
  return `${scheme}//${to.host}${rest}`;
}

function isAwsHost(host: string, service: string, region: string): boolean {
  if (!/^[a-z0-9-]+$/.test(region)) return false;
  return suffixes.some(
    (suffix) =>
      host === `${service}.${region}.${suffix}` ||
      host === `${service}-fips.${region}.${suffix}` ||
      (host.endsWith(`.${service}.${region}.vpce.${suffix}`) && /^[a-z0-9-]+$/.test(host.split('.')[0] ?? '')),
  );
}

/** Whether both addresses lead to the same scheme, host and port. False for an empty one. */
export const isSameOrigin = (one: string, other: string): boolean =>
  URL.canParse(one) && originOf(one) === originOf(other);

function originOf(text: string): string {
  const url = URL.parse(text);
  if (url === null) return 'an unreadable address';
  const scheme = url.protocol === 'http:' || url.protocol === 'ws:' ? 'http:' : 'https:';
  const port = url.port || (scheme === 'https:' ? '443' : '80');
  return `${scheme}//${url.hostname}:${port}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}
