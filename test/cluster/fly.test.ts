// The main job through fly.io: a database and a web page in an organization's private network are reached by their Services, and by
// `portforward open`, although nothing else leads to them; the status names app, region and gateway; nothing is left at fly.io.
import assert from 'node:assert/strict';
import { after, before, suite, type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { eventually } from '../../lab/base/eventually.ts';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { judge } from '../faults/budget.ts';
import { customers, ended, Folder, localPort, portforward } from '../integration/cli/laptop.ts';
import { flyHelper } from '../integration/fly/fly-helper.ts';
import { driverPanelsFilled } from '../monitoring/chart-parts.ts';
import { faultInPod } from './doctor-in-pod.ts';
import { FlyOrganization, gatewayName, page } from './fly-organization.ts';
import { lastWords } from './last-words.ts';
import { assertNoLeaks } from './leaks.ts';
import { printedByClients } from './printed.ts';

const token = 'fo1_c1u2s3t4e5r6c1u2s3t4e5r6c1u2s3t4e5r6';
/** Never accepted. */
const wrongToken = 'fo1_w1r2o3n4g5w1r2o3n4g5w1r2o3n4g5w1r2o3n4g5';
/** Accepted at first, then no more, and what follows it. */
const endingToken = 'fo1_e1n2d3s4e5n6d7s8e1n2d3s4e5n6d7s8e1n2d3s4';
const nextToken = 'fo1_n1e2x3t4n1e2x3t4n1e2x3t4n1e2x3t4n1e2x3t4';
const secrets = new Map(Object.entries({ token, wrongToken, endingToken, nextToken }));
const reasonBudgetMs = 15_000;
const healLimitSeconds = 135;
const rows = 'select customer from orders order by id';
const via = `${gatewayName} (fra)`;

let cluster: Cluster;
let organization: FlyOrganization;
let shop: Shop;

suite('main job through fly.io', () => {
  before(async () => {
    cluster = await ensureCluster();
    await cluster.clientImage();
    organization = await FlyOrganization.start(cluster);
    for (const each of [token, endingToken]) organization.api.tokens.add(each);
    await organization.startMachines({ batch: false });
    await ensureOperator(cluster, { values: organization.chartValues });
    shop = await Shop.create(cluster, 'fly');
    await organization.trustedIn(shop);
    await shop.client();
  });
  after(async () => {
    await shop?.delete();
    await organization?.stop();
  });

  const database = {
    replicas: 2,
    ports: [{ port: 5432, appProtocol: 'postgresql' }],
    fly: { app: 'orders-db', secretRef: { name: 'fly' } },
  };
  const web = {
    replicas: 1,
    ports: [{ port: 80, destinationPort: 8080, appProtocol: 'http' }],
    fly: { app: 'web', region: 'fra', secretRef: { name: 'fly' } },
  };

  const untilCarried = async (name: string): Promise<void> => {
    const curl = ['curl', '--silent', '--show-error', '--max-time', '10', `http://${name}`];
    await eventually('curl is carried', async () => (await shop.exec(curl).catch(String)) === page);
  };

  /** Ready means the first pod. The other is an endpoint for a moment, and only tells clients why it cannot serve them yet. */
  const untilRows = async (): Promise<void> => {
    const printed = (): Promise<string> => shop.psql('orders-db', rows).catch(String);
    await eventually('psql prints the rows', async () => (await printed()) === 'Ada\nGrace\nBarbara\n');
  };

  test('psql prints rows of the database, curl the page of the web server', async (t) => {
    await shop.secret('fly', { FLY_API_TOKEN: token });
    const begun = performance.now();
    await shop.portForward('orders-db', database);
    await shop.portForward('web', web);
    for (const name of ['orders-db', 'web']) {
      await shop.ready(name);
      t.diagnostic(`${name} is Ready ${((performance.now() - begun) / 1000).toFixed(1)} s after it was applied`);
    }
    await untilRows();
    await untilCarried('web');
  });

  test('the status shows app, region, gateway and transport; each replica is a peer of its own', async () => {
    await shop.kubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'pf/orders-db', '--timeout=60s']);
    // A pod may be ready before it is asked, and a status is written every two seconds at most.
    const seen = async (): Promise<object> => {
      const { status } = await shop.get('orders-db');
      const tunnels = status?.tunnels?.map((tunnel) => ({ via: tunnel.via, transport: tunnel.transport }));
      const connected = status?.conditions?.find(({ type }) => type === 'Connected')?.message;
      return { via: status?.via, tunnels, connected };
    };
    const tunnel = { via, transport: 'UDP' };
    const connected = '2 of 2 pods are ready in the network of fly.io app orders-db.';
    const wanted = { via, tunnels: [tunnel, tunnel], connected };
    await eventually('both are told', async () => isDeepStrictEqual(await seen(), wanted)).catch(() => undefined);
    assert.deepEqual(await seen(), wanted);
    const pods = await shop.tunnelPods('orders-db');
    const peers = organization.api.peers.filter(({ name }) => name.startsWith('portforward-fly-orders-db-'));
    assert.equal(peers.length, 2);
    assert.equal(new Set(peers.map(({ pubkey }) => pubkey)).size, 2);
    for (const { metadata } of pods) assert.ok(peers.some(({ name }) => name.includes(metadata.uid)));
    const [, ...lines] = (await shop.kubectl(['get', 'pf'])).trim().split('\n');
    for (const line of lines) assert.match(line, /\s+True\s+fly\s+fra1\.gateway\.example\.test \(fra\)\s/);
  });

  test('the panels of the dashboards that only fly fills have data', () => driverPanelsFilled(cluster, 'fly'));

  test('the API’s address is an argument, and the token is in its file only', async () => {
    const [pod] = await shop.tunnelPods('web');
    assert.ok(pod !== undefined);
    const args = ['get', 'pod', pod.metadata.name, '--output', 'jsonpath={.spec.containers[0].args}'];
    const url = organization.chartValues['tunnels.flyApiUrl'];
    assert.deepEqual(JSON.parse(await shop.kubectl(args)), ['sidecar', `--fly-api-url=${url}`]);
    const files = `require('fs').readdirSync('/etc/portforward/secrets/fly').filter((name) => !name.startsWith('..'))`;
    const print = ['exec', pod.metadata.name, '--', 'node', '-e', `process.stdout.write(${files}.join())`];
    assert.equal(await shop.kubectl(print), 'FLY_API_TOKEN');
    await assertNoLeaks({ cluster, shop, tunnels: ['orders-db', 'web'] }, new Map([['the token', token]]));
  });

  test('portforward open carries the same document on this machine, and leaves no peer', async () => {
    using folder = new Folder();
    organization.api.endpoint = organization.address;
    const before = organization.api.peers.length;
    const document = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward', spec: database };
    const file = folder.write(
      'orders.yaml',
      stringify({ ...document, metadata: { name: 'laptop', namespace: 'shop' } }),
    );
    folder.write('secrets/fly/FLY_API_TOKEN', token);
    const opened = portforward(['open', '-f', file, '--secrets-dir', `${folder.path}/secrets`, '--port', '0:5432'], {
      ...organization.environment,
      PORTFORWARD_FLY_HELPER: await flyHelper(),
    });
    try {
      await opened.line(/connected/);
      assert.equal(await customers(organization.postgres, await localPort(opened, 'p5432')), 'Ada\nGrace\nBarbara\n');
      assert.equal(organization.api.peers.length, before + 1);
      opened.signal('SIGINT');
      // Not within the seconds after which `stop` kills it: it has a peer to remove.
      assert.equal((await ended(opened)).end, 'exit 0');
    } finally {
      await opened.stop();
      organization.api.endpoint = gatewayName;
    }
    assert.equal(organization.api.peers.length, before);
  });

  /** One broken world beside the others: what is wrong, what it must say, and what fixes it. */
  interface World {
    /** What its Secret, of its own name, holds in the meantime. Undefined: there is none. */
    readonly token: string | undefined;
    readonly app?: string;
    readonly reason: string;
    readonly condition?: string;
    readonly says: RegExp;
    /** Where `doctor` finds it. */
    readonly step: string;
    /** Afterwards the Secret has the right token. */
    readonly repairs?: () => Promise<void>;
  }

  const webOf = (name: string, app = 'web'): object => ({ ...web, fly: { ...web.fly, app, secretRef: { name } } });
  const worlds: Readonly<Record<string, World>> = {
    'no-token': {
      token: undefined,
      reason: 'TokenMissing',
      step: 'token',
      says: /Secret no-token does not exist or has no key FLY_API_TOKEN: create it/,
    },
    refused: { token: wrongToken, reason: 'TokenRefused', step: 'app', says: /fly\.io refuses the token/ },
    'no-app': {
      token,
      app: 'wbe',
      reason: 'AppNotFound',
      step: 'app',
      says: /no app wbe/,
      repairs: async () => await shop.portForward('no-app', webOf('no-app')),
    },
    stopped: {
      token,
      app: 'batch',
      reason: 'NoRunningMachines',
      step: 'name',
      condition: 'DestinationReachable',
      says: /batch\.internal has no address.*start a Machine.*\.flycast/,
      repairs: async () => await organization.startMachines(),
    },
  };

  suite('bad worlds: each gives its reason and recovers by itself', { concurrency: true }, () => {
    const podUids = async (name: string): Promise<string[]> =>
      (await shop.tunnelPods(name)).map(({ metadata }) => metadata.uid);
    const untilSaid = async (t: TestContext, name: string, condition: string, reason: string): Promise<string> => {
      judge(t, reason, 1_000 * (await shop.reason(name, condition, reason)), reasonBudgetMs);
      return (await shop.condition(name, condition))?.message ?? '';
    };

    for (const [name, { token: held, app, reason, step, condition = 'Connected', says, repairs }] of Object.entries(
      worlds,
    )) {
      test(reason, async (t) => {
        if (held !== undefined) await shop.secret(name, { FLY_API_TOKEN: held });
        await shop.portForward(name, webOf(name, app));
        assert.match(await untilSaid(t, name, condition, reason), says);
        assert.equal((await shop.condition(name, 'Ready'))?.reason, reason);
        const before = await podUids(name);
        const [fault, printed] = await Promise.all([
          faultInPod(shop, name, secrets),
          printedByClients({ cluster, shop }, name, reason),
        ]);
        t.diagnostic(printed);
        assert.equal(fault, `${step}: ${reason}`);
        await repairs?.();
        if (held !== token) await shop.secret(name, { FLY_API_TOKEN: token });
        t.diagnostic(`Ready ${(await shop.ready(name, healLimitSeconds)).toFixed(1)} s after the fix`);
        if (app !== 'wbe') assert.deepEqual(await podUids(name), before, 'the same pod');
        await untilCarried(name);
      });
    }

    test('TokenExpired: a rotation brings the tunnel back', async (t) => {
      await shop.secret('ending', { FLY_API_TOKEN: endingToken });
      await shop.portForward('ending', webOf('ending'));
      await shop.ready('ending');
      const before = await podUids('ending');
      const peer = organization.api.peers.find(({ name }) => name.includes(before[0] ?? '-'));
      assert.ok(peer !== undefined);
      organization.api.tokens.delete(endingToken);
      await untilCarried('ending');
      // Without the API a tunnel is up until it needs another peer.
      await organization.api.invalidate(peer);
      assert.match(await untilSaid(t, 'ending', 'Connected', 'TokenExpired'), /it was accepted before.*Secret ending/);
      organization.api.tokens.add(nextToken);
      await shop.secret('ending', { FLY_API_TOKEN: nextToken });
      t.diagnostic(`Ready ${(await shop.ready('ending', healLimitSeconds)).toFixed(1)} s after the rotation`);
      assert.deepEqual(await podUids('ending'), before, 'the same pod');
    });

    test('CredentialsCurrent: a refused rotation ends nothing', async (t) => {
      await shop.secret('rotated', { FLY_API_TOKEN: token });
      await shop.portForward('rotated', webOf('rotated'));
      await shop.ready('rotated');
      await shop.secret('rotated', { FLY_API_TOKEN: wrongToken });
      assert.match(await untilSaid(t, 'rotated', 'CredentialsCurrent', 'TokenRefused'), /refuses the token/);
      assert.equal((await shop.condition('rotated', 'Ready'))?.status, 'True');
      await untilCarried('rotated');
      await shop.secret('rotated', { FLY_API_TOKEN: token });
      await shop.reason('rotated', 'CredentialsCurrent', 'Current', healLimitSeconds);
    });
  });

  suite('a world that turns bad', () => {
    test('UDP is blocked: the tunnels go on by web socket, and say so', async () => {
      await organization.gateway.set({ dropUdp: true });
      const path = '--for=jsonpath={.status.tunnels[0].transport}=WebSocket';
      await shop.kubectl(['wait', path, 'pf/orders-db', 'pf/web', '--timeout=60s']);
      await untilCarried('web');
      await shop.ready('web');
    });

    test('the API is down: a working tunnel stays up, a new one says why it waits', async (t) => {
      organization.api.fail({ status: 503 });
      await shop.portForward('late', webOf('fly'));
      judge(t, 'FlyApiFailed', 1_000 * (await shop.reason('late', 'Connected', 'FlyApiFailed')), reasonBudgetMs);
      assert.equal((await shop.condition('web', 'Connected'))?.status, 'True');
      await untilCarried('web');
      t.diagnostic(await printedByClients({ cluster, shop }, 'late', 'FlyApiFailed'));
      organization.api.heal();
      await shop.ready('late');
    });
  });

  test('the gateway is silent: TunnelDown, until it answers', async (t) => {
    await organization.gateway.set({ dropUdp: false, silent: true });
    judge(t, 'TunnelDown', 1_000 * (await shop.reason('orders-db', 'Connected', 'TunnelDown')), reasonBudgetMs);
    t.diagnostic(await printedByClients({ cluster, shop }, 'orders-db', 'TunnelDown'));
    await organization.gateway.set({ silent: false });
    t.diagnostic(`Ready ${(await shop.ready('orders-db')).toFixed(1)} s after the gateway answers`);
    await untilRows();
    await assertNoLeaks({ cluster, shop, tunnels: ['orders-db', 'ending', 'refused', 'rotated'] }, secrets);
  });

  test('deleting leaves nothing in the cluster and no peer at fly.io', async (t) => {
    const words = await lastWords(shop);
    const begun = performance.now();
    await shop.kubectl(['delete', 'portforward', '--all', '--timeout=60s']);
    const gone = eventually('no peer is left', () => organization.api.peers.length === 0, 60_000);
    await words.explain(gone, () => organization.api.peers.map(({ name }) => name));
    t.diagnostic(`every peer is removed ${((performance.now() - begun) / 1000).toFixed(1)} s after the deletion`);
    const kinds = 'deployments,replicasets,pods,services,networkpolicies,serviceaccounts,poddisruptionbudgets';
    const left = ['get', kinds, '--selector', 'portforward.dev/name', '--output', 'name'];
    await eventually('no object is left', async () => (await shop.kubectl(left)).trim() === '', 60_000);
  });
});
