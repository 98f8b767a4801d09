// Every way in which a tunnel can fail, on a real cluster with a real sshd: within 15 s each shows its own reason and a sentence that a
// person can act on, and psql, mariadb, redis-cli and curl print it. Each recovers by itself when the cause is fixed, in the same pod unless the pod itself was the cause.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Cluster, ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { startRedis } from '../../lab/private-network/redis.ts';
import { generateKey, type Sshd, startSshd } from '../../lab/private-network/sshd.ts';
import { judge } from '../faults/budget.ts';
import { faultInPod } from './doctor-in-pod.ts';
import { fourPorts, startThreeServices } from './four-services.ts';
import { assertNoLeaks } from './leaks.ts';
import { printedByClients } from './printed.ts';

const reasonBudgetSeconds = 15;
/** The kubelet projects a changed Secret within its sync period; recovery counts from there. */
const projectionSeconds = 30;

let cluster: Cluster;
let network: PrivateNetwork;
let services: AsyncDisposable | undefined;
let directory: string;
let nextPort = 2200;
const shops: Shop[] = [];
/** Every secret text of every world: none may appear anywhere. */
const secrets = new Map<string, string>();

before(async () => {
  cluster = await ensureCluster();
  await ensureOperator(cluster);
  network = await startPrivateNetwork();
  const { address: host, namespace } = network.inside;
  services = await startThreeServices({ host, namespace });
  directory = mkdtempSync(join(tmpdir(), 'portforward-worlds-'));
});
after(async () => {
  await Promise.all(shops.map((shop) => shop.delete()));
  await services?.[Symbol.asyncDispose]();
  await network?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** One broken world: what it needs, what it must say, and what fixes it. */
interface World {
  /** Gets a healthy bastion of its own and a Shop; breaks something, applies the PortForward `db`. */
  readonly break: (scene: Scene) => Promise<void>;
  readonly reason: string;
  /** Where `doctor` finds it. Absent: there is no pod that could walk, or its way is not at fault. */
  readonly step?: string | RegExp;
  readonly condition?: string;
  /** The sentence must contain all of these: what is affected, and how to fix it. */
  readonly says: (scene: Scene) => readonly (string | RegExp)[];
  readonly fix: (scene: Scene) => Promise<void>;
  /** The pods may be different ones afterwards, because there were none or they could not run. */
  readonly newPods?: boolean;
  /** The longest that recovery may take. Default: 120 s after the projection of the Secret. */
  readonly recoverySeconds?: number;
}

interface Scene {
  readonly shop: Shop;
  /** Started in bastion-a's namespace on a port of its own. */
  readonly sshd: Sshd;
  readonly key: Awaited<ReturnType<typeof generateKey>>;
  readonly knownHosts: string;
  /** The document that works as soon as everything else does. */
  spec(changes?: { readonly ssh?: object; readonly ports?: readonly object[]; readonly more?: object }): object;
  /** Ends with the world. */
  onEnd(cleanup: () => Promise<unknown>): void;
}

const goodSecret = (scene: Scene): Record<string, string> => ({
  'ssh-privatekey': scene.key.privateKey,
  known_hosts: scene.knownHosts,
});
const behind = (port: (typeof fourPorts)[number]): object => ({ ...port, destinationHost: network.databaseName });
const place = (scene: Scene): string => `${scene.sshd.host}:${scene.sshd.port}`;
const applyGood = async (scene: Scene): Promise<void> => {
  await scene.shop.secret('bastion', goodSecret(scene));
  await scene.shop.portForward('db', scene.spec());
};

const worlds: Readonly<Record<string, World>> = {
  'the Secret is missing': {
    break: (scene) => scene.shop.portForward('db', scene.spec()),
    reason: 'SecretNotFound',
    step: 'credentials',
    says: () => ['bastion', 'Secret', 'create it'],
    fix: (scene) => scene.shop.secret('bastion', goodSecret(scene)),
  },
  'the key is missing in the Secret': {
    break: async (scene) => {
      await scene.shop.secret('bastion', { known_hosts: scene.knownHosts });
      await scene.shop.portForward('db', scene.spec());
    },
    reason: 'SecretKeyMissing',
    step: 'credentials',
    says: () => ['ssh-privatekey', 'bastion', 'add one of them'],
    fix: (scene) => scene.shop.secret('bastion', goodSecret(scene)),
  },
  'the bastion does not accept the key': {
    break: async (scene) => {
      const other = await generateKey(directory, { name: `other-${scene.sshd.port}` });
      secrets.set('a refused key', other.privateKey);
      await scene.shop.secret('bastion', { ...goodSecret(scene), 'ssh-privatekey': other.privateKey });
      await scene.shop.portForward('db', scene.spec());
    },
    reason: 'AuthenticationFailed',
    step: 'login',
    says: (scene) => ['tunnel', place(scene), 'authorized_keys'],
    fix: (scene) => scene.shop.secret('bastion', goodSecret(scene)),
  },
  'the passphrase is wrong': {
    break: async (scene) => {
      const key = await generateKey(directory, { name: `encrypted-${scene.sshd.port}`, passphrase: 'open sesame 7' });
      scene.sshd.authorize([key.publicKey]);
      secrets.set('an encrypted key', key.privateKey).set('a wrong passphrase', 'open barley 7');
      const secret = { known_hosts: scene.knownHosts, 'ssh-privatekey': key.privateKey, passphrase: 'open barley 7' };
      await scene.shop.secret('bastion', secret);
      await scene.shop.portForward('db', scene.spec());
    },
    reason: 'PassphraseWrong',
    step: 'credentials',
    says: () => ['bastion', 'store its passphrase'],
    fix: (scene) => {
      secrets.set('the right passphrase', 'open sesame 7');
      return scene.shop
        .kubectl([
          'patch',
          'secret',
          'bastion',
          '--patch',
          JSON.stringify({ stringData: { passphrase: 'open sesame 7' } }),
        ])
        .then(() => {});
    },
  },
  'the host key is unknown': {
    break: async (scene) => {
      const other = {
        'ssh-privatekey': scene.key.privateKey,
        known_hosts:
          'other.example.test ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS\n',
      };
      await scene.shop.secret('bastion', other);
      await scene.shop.portForward('db', scene.spec());
    },
    reason: 'HostKeyUnknown',
    step: 'host key',
    says: (scene) => [scene.sshd.host, String(scene.sshd.port), 'SHA256:', 'add to knownHosts'],
    fix: (scene) => scene.shop.secret('bastion', goodSecret(scene)),
  },
  'the host key changed': {
    break: async (scene) => {
      await scene.sshd.changeHostKeys();
      await applyGood(scene);
    },
    reason: 'HostKeyChanged',
    step: 'host key',
    says: (scene) => [scene.sshd.host, String(scene.sshd.port), 'SHA256:', 'replace its line'],
    fix: (scene) => scene.shop.secret('bastion', { ...goodSecret(scene), known_hosts: scene.sshd.knownHosts() }),
  },
  'the bastion’s name does not resolve': {
    break: async (scene) => {
      await scene.shop.secret('bastion', {
        ...goodSecret(scene),
        known_hosts: `${scene.knownHosts}${scene.sshd.knownHosts({ name: `[no-such.example.test]:${scene.sshd.port}` })}`,
      });
      await scene.shop.portForward(
        'db',
        scene.spec({ ssh: { bastions: [{ host: 'no-such.example.test', port: scene.sshd.port }] } }),
      );
    },
    reason: 'BastionNameNotResolved',
    step: 'name',
    says: () => ['no-such.example.test', 'correct the host, or the DNS'],
    fix: async (scene) => {
      await cluster.registerHostDns('no-such.example.test', [scene.sshd.host]);
      scene.onEnd(() => cluster.registerHostDns('no-such.example.test', []));
    },
  },
  'the bastion refuses': {
    break: async (scene) => {
      await scene.sshd.kill();
      await applyGood(scene);
    },
    reason: 'BastionRefused',
    step: 'tcp',
    says: (scene) => [place(scene), 'start sshd'],
    fix: (scene) => scene.sshd.start(),
  },
  'the bastion is silent': {
    break: async (scene) => {
      scene.sshd.pause();
      await applyGood(scene);
    },
    reason: 'BastionTimeout',
    // Its kernel may accept the connection or not.
    step: /^(tcp|greeting)$/,
    says: (scene) => [place(scene), /check its load|let the tunnel’s address reach it/],
    fix: async (scene) => scene.sshd.resume(),
  },
  'the destination refuses': {
    break: async (scene) => {
      await scene.shop.secret('bastion', goodSecret(scene));
      await scene.shop.portForward(
        'db',
        scene.spec({
          ports: [
            {
              port: 6379,
              destinationHost: 'orders.db.internal',
              destinationPort: scene.sshd.port,
              appProtocol: 'redis',
            },
          ],
        }),
      );
    },
    reason: 'DestinationRefused',
    step: 'dial',
    condition: 'DestinationReachable',
    says: (scene) => [`orders.db.internal:${scene.sshd.port}`, 'start the service, or correct the port'],
    fix: async (scene) => {
      const { address, namespace } = network.inside;
      const redis = await startRedis({ host: address, namespace, port: scene.sshd.port });
      scene.onEnd(() => redis.stop());
    },
  },
  'the destination is silent': {
    break: async (scene) => {
      const { address, namespace } = network.inside;
      const redis = await startRedis({ host: address, namespace, port: scene.sshd.port });
      scene.onEnd(() => redis.stop());
      await network.silenceDatabase([scene.sshd.port]);
      scene.onEnd(() => network.healDatabase());
      await scene.shop.secret('bastion', goodSecret(scene));
      await scene.shop.portForward(
        'db',
        scene.spec({
          ports: [
            {
              port: 6379,
              destinationHost: 'orders.db.internal',
              destinationPort: scene.sshd.port,
              appProtocol: 'redis',
            },
          ],
        }),
      );
    },
    reason: 'DestinationTimeout',
    step: 'dial',
    condition: 'DestinationReachable',
    says: (scene) => [`orders.db.internal:${scene.sshd.port}`, 'allow the bastion to reach it'],
    fix: () => network.healDatabase(),
  },
  'forwarding is administratively prohibited': {
    break: async (scene) => {
      scene.sshd.authorize([`restrict ${scene.key.publicKey}`]);
      await scene.shop.secret('bastion', goodSecret(scene));
      // One port: doctor walks to each, and each would be a fault.
      await scene.shop.portForward('db', scene.spec({ ports: [behind(fourPorts[0])] }));
    },
    reason: 'ForwardingProhibited',
    step: 'dial',
    condition: 'DestinationReachable',
    says: () => ['orders.db.internal:5432', /permitopen|AllowTcpForwarding/i],
    fix: async (scene) => scene.sshd.authorize([scene.key.publicKey]),
    // sshd decides by what it read at the login; a new session checks once a minute.
    recoverySeconds: 150,
  },
  'no node takes the pod': {
    break: async (scene) => {
      await scene.shop.secret('bastion', goodSecret(scene));
      await scene.shop.portForward(
        'db',
        scene.spec({ more: { pod: { nodeSelector: { 'example.test/room': scene.shop.namespace } } } }),
      );
    },
    reason: 'Unschedulable',
    says: () => ['Correct spec.pod, or add a node'],
    fix: async (scene) => {
      await cluster.kubectl(['label', 'node', '--all', `example.test/room=${scene.shop.namespace}`, '--overwrite']);
      scene.onEnd(() => cluster.kubectl(['label', 'node', '--all', 'example.test/room-']));
    },
    newPods: true,
  },
  'the quota is exhausted': {
    break: async (scene) => {
      await scene.shop.apply({
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'none' },
        spec: { hard: { pods: '0' } },
      });
      await applyGood(scene);
    },
    reason: 'QuotaExceeded',
    says: () => ['none', 'pods', 'Raise the quota'],
    fix: async (scene) => void (await scene.shop.kubectl(['delete', 'resourcequota', 'none'])),
    newPods: true,
  },
  'the Service belongs to someone else': {
    break: async (scene) => {
      await scene.shop.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'db' },
        spec: { ports: [{ port: 80 }] },
      });
      await applyGood(scene);
    },
    reason: 'ResourceConflict',
    says: () => ['Service', 'db', 'choose another spec.service.name'],
    fix: async (scene) => void (await scene.shop.kubectl(['delete', 'service', 'db'])),
    newPods: true,
  },
};

suite('bad worlds', { concurrency: 2 }, () => {
  for (const [name, world] of Object.entries(worlds)) {
    test(name, async (t) => {
      const port = nextPort++;
      const key = await generateKey(directory, { name: `key-${port}` });
      secrets.set(`the key of ${name}`, key.privateKey);
      const sshd = await startSshd({
        host: network.bastions.a.address,
        port,
        namespace: network.bastions.a.namespace,
        authorizedKeys: [key.publicKey],
        hosts: { 'orders.db.internal': network.inside.address },
      });
      const shop = await Shop.create(cluster, `world-${port}`);
      shops.push(shop);
      // The next world need not wait until this one's namespace is gone.
      const cleanups: (() => Promise<unknown>)[] = [() => sshd.stop(), () => shop.delete({ wait: false })];
      t.after(async () => {
        for (const cleanup of cleanups.toReversed()) await cleanup();
      });
      const scene: Scene = {
        shop,
        sshd,
        key,
        knownHosts: sshd.knownHosts(),
        onEnd: (cleanup) => cleanups.push(cleanup),
        spec: ({ ssh = {}, ports, more = {} } = {}) => ({
          ...more,
          replicas: 1,
          ports: ports ?? fourPorts.map(behind),
          ssh: { user: 'tunnel', bastions: [{ host: sshd.host, port }], secretRef: { name: 'bastion' }, ...ssh },
        }),
      };

      await world.break(scene);
      const seconds = await shop.reason('db', world.condition ?? 'Ready', world.reason, 3 * reasonBudgetSeconds);
      judge(t, world.reason, 1_000 * seconds, 1_000 * reasonBudgetSeconds);
      const ready = await shop.condition('db', 'Ready');
      const shown = await shop.condition('db', world.condition ?? 'Ready');
      t.diagnostic(`${world.reason}: ${shown?.message}`);
      assert.equal(ready?.status, 'False');
      assert.equal(ready?.reason, world.reason, 'Ready gives the same reason');
      for (const part of world.says(scene)) {
        if (typeof part === 'string') assert.ok(shown?.message.includes(part), `“${shown?.message}” names ${part}`);
        else assert.match(shown?.message ?? '', part);
      }
      const walk = async (): Promise<void> => {
        if (world.step === undefined) return;
        const [step = '', reason] = (await faultInPod(shop, 'db', secrets)).split(': ');
        if (typeof world.step === 'string') assert.equal(step, world.step);
        else assert.match(step, world.step);
        assert.equal(reason, world.reason);
      };
      const printed = async (): Promise<void> => {
        if (world.newPods === true) return;
        t.diagnostic(await printedByClients({ cluster, shop }, 'db', world.reason));
      };
      await Promise.all([walk(), printed()]);
      const podsBefore = await shop.tunnelPods('db');
      await assertNoLeaks({ cluster, shop, tunnels: ['db'] }, secrets);

      await world.fix(scene);
      const recovered = await shop.ready('db', world.recoverySeconds ?? projectionSeconds + 120);
      t.diagnostic(`recovered ${recovered.toFixed(1)} s after the fix`);
      const podsAfter = await shop.tunnelPods('db');
      if (world.newPods !== true) {
        assert.deepEqual(
          podsAfter.map((pod) => pod.metadata.uid),
          podsBefore.map((pod) => pod.metadata.uid),
          'the same pod',
        );
      }
      for (const pod of podsAfter) assert.equal(pod.status.containerStatuses?.[0]?.restartCount, 0, 'no restart');
      await assertNoLeaks({ cluster, shop, tunnels: ['db'] }, secrets);
    });
  }
});
