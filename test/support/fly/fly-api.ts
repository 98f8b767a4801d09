// fly.io's GraphQL API on the wire: organizations, apps, peers, tokens, and its failures by command. Each query is validated against the schema,
// so that a field which does not exist there fails as it would at fly.io.
// Neighbours: schema.ts, fly-gateway.ts (gets the peers), fly-world.ts.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buildSchema, GraphQLError, graphql } from 'graphql';
import type { FlyGateway } from './fly-gateway.ts';
import { schemaText } from './schema.ts';

export interface FlyApp {
  readonly name: string;
  /** Null: the organization’s default network. */
  readonly network: string | null;
}

export interface FlyPeer {
  readonly id: string;
  readonly name: string;
  readonly pubkey: string;
  readonly region: string;
  readonly peerip: string;
  readonly network: string | null;
}

/** What the API does wrong: an HTTP status, or a broken connection; `count` times, then nothing more. */
export type ApiFault = { readonly status: number; readonly retryAfter?: string } | 'reset' | 'notJson' | 'silent';

export interface ApiPlace {
  /** Default: the loopback. */
  readonly listen?: string;
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** What the API tells its gateways. */
type PeerGateway = Pick<FlyGateway, 'publicKey' | 'addPeer' | 'removePeer'>;

const schema = buildSchema(schemaText);

export class FlyApi {
  readonly organization = { id: 'org-node-id-1', slug: 'shop-inc' };
  readonly apps: FlyApp[] = [{ name: 'orders-db', network: null }];
  readonly regions = new Set(['fra', 'arn', 'lax']);
  readonly peers: FlyPeer[] = [];
  /** Tokens that are accepted, as they stand in the header after the scheme. */
  readonly tokens = new Set(['fo1_test']);
  /** Tokens that may not remove peers. */
  readonly limitedTokens = new Set<string>();
  /** Tokens of another organization: they see nothing of this one. */
  readonly foreignTokens = new Set<string>();
  /** Operations in the order in which they came. */
  readonly operations: string[] = [];
  /** What each of them brought. */
  readonly bodies: string[] = [];
  /** What a new peer is given as its gateway’s name. */
  endpoint = '127.0.0.1';
  #fault: { readonly kind: ApiFault; count: number } | undefined;
  readonly #gateway: PeerGateway;
  readonly #prefix: string;
  readonly #server: Server;
  #nextPeer = 1;

  static async start(
    gateway: PeerGateway,
    prefix: string,
    { listen = '127.0.0.1', tls }: ApiPlace = {},
  ): Promise<FlyApi> {
    const api = new FlyApi(gateway, prefix, tls);
    api.#server.listen(0, listen);
    await once(api.#server, 'listening');
    return api;
  }

  private constructor(gateway: PeerGateway, prefix: string, tls: ApiPlace['tls']) {
    this.#gateway = gateway;
    this.#prefix = prefix;
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response);
    this.#server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  fail(kind: ApiFault, count = Number.POSITIVE_INFINITY): void {
    this.#fault = { kind, count };
  }

  heal(): void {
    this.#fault = undefined;
  }

  /** As fly.io’s garbage collection or an administrator does. */
  async invalidate(peer: FlyPeer): Promise<void> {
    const index = this.peers.indexOf(peer);
    if (index === -1) throw new Error(`there is no peer ${peer.name}`);
    this.peers.splice(index, 1);
    await this.#gateway.removePeer(peer.pubkey);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The client has gone before it had asked.
      return;
    }
    const fault = this.#nextFault();
    if (fault === 'silent') return;
    if (fault === 'reset') return void request.socket.resetAndDestroy();
    if (fault === 'notJson') return void response.end('<html>a proxy’s page</html>');
    if (fault !== undefined) {
      response.writeHead(fault.status, fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter });
      return void response.end('no');
    }
    const body = Buffer.concat(chunks).toString('utf8');
    this.bodies.push(body);
    const { query, variables, operationName } = JSON.parse(body) as {
      readonly query: string;
      readonly variables: Record<string, unknown>;
      readonly operationName: string;
    };
    this.operations.push(operationName);
    const token = (request.headers.authorization ?? '').replace(/^(FlyV1|Bearer) /, '');
    const result = await graphql({
      schema,
      source: query,
      variableValues: variables,
      operationName,
      rootValue: this.#root(token),
    });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(result));
  }

  #nextFault(): ApiFault | undefined {
    const fault = this.#fault;
    if (fault === undefined || fault.count <= 0) return undefined;
    fault.count -= 1;
    return fault.kind;
  }

  #root(token: string) {
    const isForeign = this.foreignTokens.has(token);
    const allowed = (): void => {
      if (!this.tokens.has(token) && !isForeign) {
        throw refusal('You must be authenticated to view this.', 'UNAUTHORIZED');
      }
    };
    const allowedIn = (organizationId: string): void => {
      allowed();
      if (isForeign || organizationId !== this.organization.id)
        throw refusal('Could not find Organization', 'NOT_FOUND');
    };
    return {
      app: ({ name }: { name?: string }) => {
        allowed();
        const app = this.apps.find((each) => each.name === name);
        if (app === undefined || isForeign) throw refusal(`Could not find App "${name}"`, 'NOT_FOUND');
        return { id: app.name, ...app, platformVersion: 'machines', organization: this.#organization() };
      },
      organization: ({ slug }: { slug?: string }) => {
        allowed();
        if (slug !== this.organization.slug || isForeign) throw refusal('Could not find Organization', 'NOT_FOUND');
        return this.#organization();
      },
      organizations: () => {
        allowed();
        return { nodes: isForeign ? [] : [this.#organization()] };
      },
      nearestRegion: () => {
        allowed();
        return { code: 'fra', name: 'Frankfurt', gatewayAvailable: true, deprecated: false };
      },
      viewer: () => {
        allowed();
        return { __typename: 'Macaroon', email: null };
      },
      addWireGuardPeer: async ({
        input,
      }: {
        input: { organizationId: string; name: string; pubkey: string; region?: string; network?: string };
      }) => {
        allowedIn(input.organizationId);
        return await this.#addPeer(input);
      },
      removeWireGuardPeer: async ({ input }: { input: { organizationId: string; name: string } }) => {
        allowedIn(input.organizationId);
        if (this.limitedTokens.has(token)) throw refusal('Not authorized to removeWireGuardPeer', 'UNAUTHORIZED');
        const peer = this.peers.find(({ name }) => name === input.name);
        if (peer === undefined) throw refusal('Could not find WireGuardPeer', 'NOT_FOUND');
        await this.invalidate(peer);
        return { organization: this.#organization() };
      },
      validateWireGuardPeers: ({ input }: { input: { peerIps: string[] } }) => {
        allowed();
        const known = new Set(isForeign ? [] : this.peers.map(({ peerip }) => peerip));
        return {
          invalidPeerIps: input.peerIps.filter((ip) => !known.has(ip)),
          validPeerIps: input.peerIps.filter((ip) => known.has(ip)),
        };
      },
    };
  }

  async #addPeer({
    name,
    pubkey,
    region,
    network,
  }: {
    name: string;
    pubkey: string;
    region?: string;
    network?: string;
  }) {
    if (!/^[A-Za-z0-9-]+$/.test(name)) throw refusal('name may only hold letters, digits and dashes', '');
    if (Buffer.from(pubkey, 'base64').length !== 32) throw refusal('pubkey is not valid', '');
    if (this.peers.some((peer) => peer.name === name)) throw refusal('name has already been taken', '');
    if (region !== undefined && !this.regions.has(region))
      throw refusal(`Could not find Region "${region}"`, 'NOT_FOUND');
    const number = this.#nextPeer++;
    const peerip = `${this.#prefix}:a7b:35c:0:${number.toString(16)}:102`;
    this.peers.push({ id: `peer-${number}`, name, pubkey, region: region ?? 'fra', peerip, network: network ?? null });
    await this.#gateway.addPeer(pubkey, peerip);
    return { peerip, endpointip: this.endpoint, pubkey: this.#gateway.publicKey, network: network ?? null };
  }

  #organization() {
    return {
      ...this.organization,
      internalNumericId: '1',
      rawSlug: this.organization.slug,
      name: 'Shop Inc.',
      type: 'SHARED',
      paidPlan: true,
      billable: true,
      viewerRole: 'admin',
      wireGuardPeers: { nodes: this.peers },
    };
  }
}

function refusal(message: string, code: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}
