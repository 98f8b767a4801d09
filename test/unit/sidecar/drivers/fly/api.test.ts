// What fly.io's API answers, as a code of ours: over a real connection, with the token from a mounted Secret.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { systemClock } from '../../../../../src/process/clock.ts';
import { Graphql } from '../../../../../src/sidecar/drivers/fly/api/graphql.ts';
import { createFlyApi, type FlyApi } from '../../../../../src/sidecar/drivers/fly/api/operations.ts';
import { TokenFile } from '../../../../../src/sidecar/drivers/fly/api/token-file.ts';

type Answer = { readonly status?: number; readonly body: unknown } | 'reset';

const refusal = (code: string, message: string): Answer => ({
  body: { data: null, errors: [{ message, extensions: { code } }] },
});
const unauthorized = refusal('UNAUTHORIZED', 'You must be authenticated to view this.');
const orders: Answer = { body: { data: { app: { network: null, organization: { id: 'id-1', slug: 'shop-inc' } } } } };

interface World {
  readonly api: FlyApi;
  /** The Authorization headers in the order in which they came. */
  readonly headers: readonly string[];
  /** What is answered from now on, one after the other; the last one stays. */
  answers: readonly Answer[];
  setToken(text: string): void;
}

async function world(t: TestContext): Promise<World> {
  const headers: string[] = [];
  const state: { answers: readonly Answer[] } = { answers: [orders] };
  const server = createServer((request: IncomingMessage, response) => {
    headers.push(request.headers.authorization ?? '');
    const [answer = orders, ...rest] = state.answers;
    if (rest.length > 0) state.answers = rest;
    request.resume().on('end', () => {
      if (answer === 'reset') return void request.socket.resetAndDestroy();
      response.writeHead(answer.status ?? 200);
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const directory = mkdtempSync(join(tmpdir(), 'portforward-token-'));
  const setToken = (text: string): void => writeFileSync(join(directory, 'FLY_API_TOKEN'), text);
  setToken('fo1_first');
  const token = new TokenFile({ secretName: 'fly', directory });
  const graphql = new Graphql({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorization: async () => await token.authorization(),
    environment: {},
    clock: systemClock,
  });
  const api = createFlyApi(graphql, token);
  t.after(async () => {
    await api.close();
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    api,
    headers,
    setToken,
    get answers() {
      return state.answers;
    },
    set answers(answers) {
      state.answers = answers;
    },
  };
}

const { signal } = new AbortController();
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'none';
  } catch (error) {
    assert.ok(error instanceof TunnelError, String(error));
    return error.code;
  }
};
const peer = {
  organizationId: 'id-1',
  organization: 'shop-inc',
  network: '',
  name: 'p',
  publicKey: 'k',
  region: 'fra',
};
const notFound = refusal('NOT_FOUND', 'Could not find it');

const refusals: readonly (readonly [what: string, Answer, (api: FlyApi) => Promise<unknown>, code: string])[] = [
  ['no access', unauthorized, (api) => api.networkOfApp('orders', { signal }), 'TokenRefused'],
  ['status 401', { status: 401, body: 'no' }, (api) => api.networkOfApp('orders', { signal }), 'TokenRefused'],
  ['no such app', notFound, (api) => api.networkOfApp('orders', { signal }), 'AppNotFound'],
  [
    'an app that is null',
    { body: { data: { app: null } } },
    (api) => api.networkOfApp('orders', { signal }),
    'AppNotFound',
  ],
  ['no such organization', notFound, (api) => api.organization('shop', '', { signal }), 'OrganizationNotFound'],
  ['no gateway in the region', notFound, (api) => api.addPeer(peer, { signal }), 'GatewayNotFound'],
  [
    'a name that is taken',
    refusal('', 'name has already been taken'),
    (api) => api.addPeer(peer, { signal }),
    'PeerRefused',
  ],
  ['a page of a proxy', { body: '<html>' }, (api) => api.networkOfApp('orders', { signal }), 'FlyApiFailed'],
  [
    'an answer without its fields',
    { body: { data: {} } },
    (api) => api.networkOfApp('orders', { signal }),
    'FlyApiFailed',
  ],
  ['status 500', { status: 500, body: 'no' }, (api) => api.networkOfApp('orders', { signal }), 'FlyApiFailed'],
  ['a gateway that is no host', peerAt('a/b?c'), (api) => api.addPeer(peer, { signal }), 'FlyApiFailed'],
];

function peerAt(endpointip: string): Answer {
  const pubkey = Buffer.alloc(32).toString('base64');
  return { body: { data: { addWireGuardPeer: { peerip: 'fdaa::102', endpointip, pubkey } } } };
}

suite('fly.io’s API', () => {
  for (const [what, answer, call, code] of refusals) {
    test(`${what}: ${code}`, async (t) => {
      const here = await world(t);
      here.answers = [answer];
      assert.equal(await codeOf(call(here.api)), code);
    });
  }

  test('an outage of two requests is not noticed, and the network is read', async (t) => {
    const here = await world(t);
    here.answers = [{ status: 503, body: 'no' }, 'reset', orders];
    assert.deepEqual(await here.api.networkOfApp('orders', { signal }), {
      organizationId: 'id-1',
      organization: 'shop-inc',
      network: '',
    });
    assert.equal(here.headers.length, 3);
  });

  test('a peer is asked for once: the answer may have been lost', async (t) => {
    const here = await world(t);
    here.answers = ['reset'];
    assert.equal(await codeOf(here.api.addPeer(peer, { signal })), 'FlyApiFailed');
    assert.equal(here.headers.length, 1);
  });

  test('a token that was accepted for the request has expired; a new one is in the next request', async (t) => {
    const here = await world(t);
    await here.api.networkOfApp('orders', { signal });
    here.answers = [unauthorized];
    assert.equal(await codeOf(here.api.networkOfApp('orders', { signal })), 'TokenExpired');
    assert.equal(await codeOf(here.api.addPeer(peer, { signal })), 'TokenRefused', 'it may read, and never could more');
    here.setToken('FlyV1 fm2_second');
    assert.equal(await codeOf(here.api.networkOfApp('orders', { signal })), 'TokenRefused');
    assert.equal(here.headers.at(0), 'Bearer fo1_first');
    assert.equal(here.headers.at(-1), 'FlyV1 fm2_second');
  });

  test('the text of the API is quoted, on one line and cut; the token is in no error', async (t) => {
    const here = await world(t);
    here.answers = [refusal('UNAUTHORIZED', `no\n${'x'.repeat(1_000)}`)];
    await assert.rejects(here.api.networkOfApp('orders', { signal }), (error) => {
      assert.ok(error instanceof TunnelError);
      assert.match(error.message, /: “no x{117}”; put another/);
      assert.ok(!`${error.stack} ${String(error.cause)}`.includes('fo1_first'));
      return true;
    });
  });

  test('a peer that fly.io does not know is as good as removed', async (t) => {
    const here = await world(t);
    here.answers = [refusal('NOT_FOUND', 'Could not find WireGuardPeer')];
    await here.api.removePeer('id-1', 'p', { signal });
    here.answers = [refusal('', 'no')];
    assert.equal(await codeOf(here.api.removePeer('id-1', 'p', { signal })), 'FlyApiFailed');
  });

  test('where the Secret’s token is refused or gone, the last one that was accepted removes the peer', async (t) => {
    const here = await world(t);
    const removed: Answer = { body: { data: { removeWireGuardPeer: {} } } };
    await here.api.networkOfApp('orders', { signal });
    here.setToken('fo1_wrong');
    here.answers = [unauthorized, removed];
    await here.api.removePeer('id-1', 'p', { signal });
    assert.deepEqual(here.headers.slice(-2), ['Bearer fo1_wrong', 'Bearer fo1_first']);
    here.setToken('');
    here.answers = [notFound];
    await here.api.removePeer('id-1', 'p', { signal });
    assert.equal(here.headers.at(-1), 'Bearer fo1_first');
    assert.equal(await codeOf(here.api.networkOfApp('orders', { signal })), 'TokenMissing', 'for nothing else');
    here.setToken('fo1_wrong');
    here.answers = [unauthorized];
    assert.equal(await codeOf(here.api.removePeer('id-1', 'p', { signal })), 'TokenRefused');
    here.setToken('fo1_first');
    const before = here.headers.length;
    assert.equal(await codeOf(here.api.removePeer('id-1', 'p', { signal })), 'TokenRefused');
    assert.equal(here.headers.length, before + 1, 'there is no other token');
  });

  test('a token of another organization does not find the peer: the one that was accepted by its own removes it', async (t) => {
    const here = await world(t);
    const foreign = refusal('NOT_FOUND', 'Could not find Organization');
    const unknown = refusal('NOT_FOUND', 'Could not find WireGuardPeer');
    const removed: Answer = { body: { data: { removeWireGuardPeer: {} } } };
    const invalid: Answer = { body: { data: { validateWireGuardPeers: { invalidPeerIps: ['fdaa::102'] } } } };
    here.answers = [foreign];
    assert.equal(
      await codeOf(here.api.removePeer('id-1', 'p', { signal })),
      'OrganizationNotFound',
      'the peer may be there',
    );
    assert.equal(await codeOf(here.api.peerNames('shop', { signal })), 'OrganizationNotFound');
    here.answers = [{ body: { data: { organization: null } } }];
    assert.equal(await codeOf(here.api.peerNames('shop', { signal })), 'OrganizationNotFound');
    here.answers = [orders];
    await here.api.networkOfApp('orders', { signal });
    here.setToken('fo1_foreign');
    here.answers = [invalid];
    assert.equal(await here.api.isValid('fdaa::102', { signal }), false);
    here.answers = [{ body: { data: { app: null } } }];
    assert.equal(await codeOf(here.api.networkOfApp('orders', { signal })), 'AppNotFound');
    for (const said of [foreign, unknown]) {
      here.answers = [said, removed];
      await here.api.removePeer('id-1', 'p', { signal });
      assert.deepEqual(here.headers.slice(-2), ['Bearer fo1_foreign', 'Bearer fo1_first']);
    }
    here.answers = [foreign, unauthorized];
    assert.equal(await codeOf(here.api.removePeer('id-1', 'p', { signal })), 'OrganizationNotFound');
    here.answers = [foreign, unknown];
    await here.api.removePeer('id-1', 'p', { signal });
    here.answers = [unknown, unauthorized];
    await here.api.removePeer('id-1', 'p', { signal });
  });

  test('a token for which the peer is valid is one of its organization', async (t) => {
    const here = await world(t);
    here.answers = [{ body: { data: { validateWireGuardPeers: { invalidPeerIps: [] } } } }];
    assert.equal(await here.api.isValid('fdaa::102', { signal }), true);
    here.setToken('fo1_wrong');
    here.answers = [unauthorized, { body: { data: { removeWireGuardPeer: {} } } }];
    await here.api.removePeer('id-1', 'p', { signal });
    assert.equal(here.headers.at(-1), 'Bearer fo1_first');
  });

  test('without a token nothing is sent', async (t) => {
    const here = await world(t);
    here.setToken(' ');
    assert.equal(await codeOf(here.api.networkOfApp('orders', { signal })), 'TokenMissing');
    assert.equal(here.headers.length, 0);
  });
});
