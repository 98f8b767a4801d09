// What the driver asks of fly.io's API: which network an app is in, peers made, judged and removed. The documents are our own; the names in
// them are the API's (fly-go, schema.graphql).
// Neighbours: graphql.ts sends them, peer.ts decides when.
import { z } from 'zod';
import { defined } from '../../../../contract/defined.ts';
import { type Code, TunnelError } from '../../../../contract/errors.ts';
import { FlyApiError, type Graphql, type GraphqlRequest } from './graphql.ts';
import type { TokenFile } from './token-file.ts';

export interface Network {
  /** The API's id of the organization; not its slug. */
  readonly organizationId: string;
  readonly organization: string;
  /** Empty: the organization's default network. */
  readonly network: string;
}

export interface MadePeer {
  /** The peer's own address in the network. */
  readonly address: string;
  /** Host name of the gateway. */
  readonly endpoint: string;
  readonly gatewayKey: string;
}

export interface PeerRequest extends Network {
  readonly name: string;
  readonly publicKey: string;
  /** Empty: fly.io chooses the nearest gateway. */
  readonly region: string;
}

/** Only another token helps. */
export const tokenRefusals: readonly Code[] = ['TokenMissing', 'TokenRefused', 'TokenExpired'];

type Signal = { readonly signal: AbortSignal };

export interface FlyApi {
  /** @throws TunnelError AppNotFound, TokenRefused or FlyApiFailed */
  networkOfApp(app: string, options: Signal): Promise<Network>;
  /** @throws TunnelError OrganizationNotFound, TokenRefused or FlyApiFailed */
  organization(slug: string, network: string, options: Signal): Promise<Network>;
  /** The code of the region whose gateways are nearest to this machine. */
  nearestRegion(options: Signal): Promise<string>;
  /** @throws TunnelError PeerRefused, GatewayNotFound, TokenRefused or FlyApiFailed */
  addPeer(peer: PeerRequest, options: Signal): Promise<MadePeer>;
  /** Whether the API still knows the peer of that address; asking keeps it alive there. */
  isValid(address: string, options: Signal): Promise<boolean>;
  /** Of all peers of the organization. @throws TunnelError OrganizationNotFound, TokenRefused or FlyApiFailed */
  peerNames(organization: string, options: Signal): Promise<readonly string[]>;
  /**
   * Resolves also if fly.io knows no such peer. If the present token is refused or missing, or does not find the peer, the one that was
   * accepted last is tried: it made the peer, and who takes it out of the Secret wants the peer gone, too.
   * @throws TunnelError OrganizationNotFound, TokenRefused or FlyApiFailed
   */
  removePeer(organizationId: string, name: string, options: Signal): Promise<void>;
  close(): Promise<void>;
}

/** The API as the token file's present token sees it; the file hears which requests were accepted. */
export function createFlyApi(
  graphql: Graphql,
  token: Pick<TokenFile, 'accepted' | 'judge' | 'formerAuthorization'>,
): FlyApi {
  const ask: Ask = async (request, options, meaning = {}) => {
    try {
      const answer = await graphql.ask(request, options);
      token.accepted(request.operation, { isOfOrganization: showsOrganization(request.operation, answer) });
      return answer;
    } catch (error) {
      if (!(error instanceof FlyApiError)) throw error;
      throw token.judge(reasonOf(error, request.operation, meaning), request.operation);
    }
  };
  return {
    networkOfApp: async (app, options) => await networkOfApp(ask, app, options),
    organization: async (slug, network, options) => await organizationOf(ask, slug, network, options),
    nearestRegion: async (options) => (await ask(nearestRegion, options)).nearestRegion.code,
    addPeer: async (peer, options) => await addPeer(ask, peer, options),
    isValid: async (address, options) => {
      const { validateWireGuardPeers } = await ask(validatePeer(address), options);
      const isValid = !validateWireGuardPeers.invalidPeerIps.includes(address);
      if (isValid) token.accepted(validating, { isOfOrganization: true });
      return isValid;
    },
    peerNames: async (slug, options) => {
      const meaning = { notFound: () => organizationNotFound(slug) };
      const { organization: found } = await ask(listPeers(slug), options, meaning);
      if (found === null) throw organizationNotFound(slug);
      return found.wireGuardPeers.nodes.map(({ name }) => name);
    },
    removePeer: async (organizationId, name, options) => {
      const request = removePeer(organizationId, name);
      const removed = ask(request, options).catch(async (refusal: unknown) => {
        // A token of another organization does not find the peer, which is there all the same.
        const mayOtherDoIt = isOfToken(refusal) || isPeerUnknown(refusal) || isOrganizationUnknown(refusal);
        const authorization = mayOtherDoIt ? token.formerAuthorization : undefined;
        if (authorization === undefined) throw refusal;
        await graphql.ask({ ...request, authorization }, options).catch((error: unknown) => {
          throw error instanceof FlyApiError && !isPeerUnknown(error) ? refusal : error;
        });
      });
      await removed.catch((error: unknown) => {
        if (isOrganizationUnknown(error)) throw organizationNotFound(organizationId);
        if (!isPeerUnknown(error)) throw error;
      });
    },
    close: async () => await graphql.close(),
  };
}

const isOfToken = (error: unknown): boolean => error instanceof TunnelError && tokenRefusals.includes(error.code);

/** What fly.io said, if this is its refusal. */
function saidBy(error: unknown): FlyApiError | undefined {
  const said = error instanceof TunnelError ? error.cause : error;
  return said instanceof FlyApiError ? said : undefined;
}

function isOrganizationUnknown(error: unknown): boolean {
  const said = saidBy(error);
  return said !== undefined && isNotFound(said) && /organization/i.test(said.message) && !/peer/i.test(said.message);
}

function isPeerUnknown(error: unknown): boolean {
  const said = saidBy(error);
  return said !== undefined && isNotFound(said) && !isOrganizationUnknown(said);
}

type Ask = <T>(request: GraphqlRequest<T>, options: Signal, meaning?: Meaning) => Promise<T>;

const organization = z.object({ id: z.string(), slug: z.string() });

async function networkOfApp(ask: Ask, app: string, options: Signal): Promise<Network> {
  const { app: found } = await ask(
    {
      operation: 'PortForwardApp',
      document: 'query PortForwardApp($app: String!) { app(name: $app) { network organization { id slug } } }',
      variables: { app },
      answer: z.object({ app: z.object({ network: z.string().nullish(), organization }).nullable() }),
      repeatable: true,
    },
    options,
    { notFound: () => appNotFound(app) },
  );
  if (found === null) throw appNotFound(app);
  const network = found.network ?? '';
  return {
    organizationId: found.organization.id,
    organization: found.organization.slug,
    network: network === 'default' ? '' : network,
  };
}

async function organizationOf(ask: Ask, slug: string, network: string, options: Signal): Promise<Network> {
  const { organization: found } = await ask(
    {
      operation: 'PortForwardOrganization',
      document: 'query PortForwardOrganization($slug: String!) { organization(slug: $slug) { id slug } }',
      variables: { slug },
      answer: z.object({ organization: organization.nullable() }),
      repeatable: true,
    },
    options,
    { notFound: () => organizationNotFound(slug) },
  );
  if (found === null) throw organizationNotFound(slug);
  return { organizationId: found.id, organization: found.slug, network };
}

const nearestRegion = {
  operation: 'PortForwardRegion',
  document: 'query PortForwardRegion { nearestRegion(wireguardGateway: true) { code } }',
  variables: {},
  answer: z.object({ nearestRegion: z.object({ code: z.string().regex(/^[a-z]{3}$/) }) }),
  repeatable: true,
};

async function addPeer(
  ask: Ask,
  { organizationId, network, name, publicKey, region }: PeerRequest,
  options: Signal,
): Promise<MadePeer> {
  const wanted = defined({ region: region === '' ? undefined : region, network: network === '' ? undefined : network });
  const { addWireGuardPeer } = await ask(
    {
      operation: 'PortForwardAddPeer',
      document:
        'mutation PortForwardAddPeer($input: AddWireGuardPeerInput!) { addWireGuardPeer(input: $input) { peerip endpointip pubkey } }',
      variables: { input: { organizationId, name, pubkey: publicKey, ...wanted } },
      answer: z.object({ addWireGuardPeer: z.object({ peerip: z.ipv6(), endpointip: hostSchema, pubkey: keySchema }) }),
      // A second request with the same name would be refused: the next attempt takes another name.
      repeatable: false,
    },
    options,
    {
      notFound: (text) => new TunnelError('GatewayNotFound', `fly.io has no gateway in the region ${region}: ${text}`),
      other: (text) => new TunnelError('PeerRefused', `fly.io made no WireGuard peer: ${text}`),
    },
  );
  const { peerip, endpointip, pubkey } = addWireGuardPeer;
  return { address: peerip, endpoint: endpointip, gatewayKey: pubkey };
}

const validating = 'PortForwardValidatePeers';

const validatePeer = (address: string) => ({
  operation: validating,
  document:
    'mutation PortForwardValidatePeers($input: ValidateWireGuardPeersInput!) { validateWireGuardPeers(input: $input) { invalidPeerIps } }',
  variables: { input: { peerIps: [address] } },
  answer: z.object({ validateWireGuardPeers: z.object({ invalidPeerIps: z.array(z.string()) }) }),
  repeatable: true,
});

const listPeers = (slug: string) => ({
  operation: 'PortForwardPeers',
  document:
    'query PortForwardPeers($slug: String!) { organization(slug: $slug) { wireGuardPeers { nodes { name } } } }',
  variables: { slug },
  answer: z.object({
    organization: z.object({ wireGuardPeers: z.object({ nodes: z.array(z.object({ name: z.string() })) }) }).nullable(),
  }),
  repeatable: true,
});

const removePeer = (organizationId: string, name: string) => ({
  operation: 'PortForwardRemovePeer',
  document:
    'mutation PortForwardRemovePeer($input: RemoveWireGuardPeerInput!) { removeWireGuardPeer(input: $input) { organization { id } } }',
  variables: { input: { organizationId, name } },
  answer: z.object({ removeWireGuardPeer: z.unknown() }),
  repeatable: true,
});

const anyTokenMay: ReadonlySet<string> = new Set([nearestRegion.operation, validating]);

/** Whether the answer shows that the token is of the peers' organization. To another one some fields are null. */
function showsOrganization(operation: string, answer: unknown): boolean {
  if (anyTokenMay.has(operation) || typeof answer !== 'object' || answer === null) return false;
  return Object.values(answer).every((field) => field !== null);
}

/** The gateway's name goes into a URL and to a resolver: letters, digits, dots and dashes, or an address. */
const hostSchema = z.string().regex(/^(?:[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?|[0-9a-fA-F:.]+)$/);
const keySchema = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

interface Meaning {
  readonly notFound?: (text: string) => TunnelError;
  readonly other?: (text: string) => TunnelError;
}

function reasonOf(error: FlyApiError, operation: string, { notFound, other }: Meaning): TunnelError {
  const text = quoted(error.message);
  if (error.code === 'UNAUTHORIZED' || /authenticated|not authorized|token/i.test(error.message)) {
    const sentence = `fly.io refuses the token for the request ${operation}: ${text}; put another one into the Secret`;
    return new TunnelError('TokenRefused', sentence, { cause: error });
  }
  if (notFound !== undefined && isNotFound(error)) return notFound(text);
  return (
    other?.(text) ?? new TunnelError('FlyApiFailed', `fly.io’s API failed in ${operation}: ${text}`, { cause: error })
  );
}

const isNotFound = ({ code, message }: FlyApiError): boolean =>
  code === 'NOT_FOUND' || /could not find|not found/i.test(message);

const appNotFound = (app: string): TunnelError =>
  new TunnelError('AppNotFound', `fly.io knows no app ${app}, or the token may not see it`);

const organizationNotFound = (slug: string): TunnelError =>
  new TunnelError('OrganizationNotFound', `fly.io knows no organization ${slug}, or the token may not see it`);

/** A text of the API as our sentences may carry it: printable, one line, at most 120 characters, in quotation marks. */
function quoted(text: string): string {
  return `“${text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 120)}”`;
}
