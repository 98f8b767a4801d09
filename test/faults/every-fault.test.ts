// Every fault that a bastion, a node and the way to them can have, each under the same clients; fault-list.ts has what is promised. Those of
// a private network come one after the other, the others four at once, each with a bastion or a service of its own.
// `npm run test:faults -- --write` writes the figures into docs/reliability.md.
import assert from 'node:assert/strict';
import type { LookupAddress, LookupAllOptions } from 'node:dns';
import dns from 'node:dns/promises';
import { once } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Bastion, type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { type Sshd } from '../../lab/private-network/sshd.ts';
import { Child } from '../../lab/process/child.ts';
import { header } from '../bench/content.ts';
import {
  client,
  endOf,
  openSidecar,
  startBastion,
  tunnelConfig,
  until,
  untilConnected,
} from '../integration/sidecar/sidecar-world.ts';
import { SecretDirectory } from '../integration/ssh/ssh-world.ts';
import type { SessionManager, Switches } from '../support/ssm/session-manager.ts';
import { type FaultName, faults } from './fault-list.ts';
import { measure, sessionsAt } from './measure.ts';
import { SsmTunnel } from './ssm-tunnel.ts';

const script = fileURLToPath(new URL('../bench/destination.ts', import.meta.url));
const title = (name: FaultName): string => `${faults[name].driver}: ${faults[name].what}`;

async function portOf(destination: Child): Promise<number> {
  return Number((await destination.line(/^listening \d+$/)).split(' ')[1]);
}

const during = (ms: number, begin: (a: Bastion) => Promise<void>) => async (a: Bastion) => {
  await begin(a);
  await delay(ms);
  await a.heal();
};
type Outages = Partial<Record<FaultName, (a: Bastion) => Promise<void>>>;

/** In two networks at once. */
const brief: Outages = {
  'sessions-killed': async (a) => a.killSessions(),
  'sshd-killed': async (a) => {
    await a.kill();
    await delay(3_000);
    await a.start();
  },
  'black-hole': during(14_000, (a) => a.blackHole()),
  'black-hole-3s': during(3_000, (a) => a.blackHole()),
};
const long: Outages = {
  'black-hole-in': during(14_000, (a) => a.blackHole('input')),
  'black-hole-out': during(14_000, (a) => a.blackHole('output')),
  'link-down': during(14_000, (a) => a.linkDown()),
};

function ofNetwork(outages: Outages): void {
  suite('of the network to a bastion', { concurrency: 1 }, () => {
    let network: PrivateNetwork;
    let secret: SecretDirectory;
    let destination: Child;
    let port: number;
    before(async () => {
      network = await startPrivateNetwork();
      const { a, b } = network.bastions;
      const knownHosts = [a, b].map((bastion) => bastion.knownHosts({ name: bastion.address })).join('');
      secret = new SecretDirectory({ 'ssh-privatekey': network.key.privateKey, known_hosts: knownHosts });
      const { namespace, address } = network.inside;
      destination = new Child('destination', 'ip', ['netns', 'exec', namespace, process.execPath, script, address]);
      port = await portOf(destination);
    });
    after(async () => {
      await destination?.kill();
      await network?.stop();
      secret?.[Symbol.dispose]();
    });

    for (const [name, outage] of Object.entries(outages) as [FaultName, (a: Bastion) => Promise<void>][]) {
      test(title(name), { timeout: 120_000 }, async (t) => {
        const { a, b } = network.bastions;
        const credentials = { secretName: 'orders-bastion', directory: secret.directory };
        const hops = [a, b].map(({ address, port, user }) => ({ host: address, port, user, credentials }));
        const to = { host: network.inside.address, port };
        const sidecar = await openSidecar(tunnelConfig(hops, { forwards: [{ port: 1, destination: to }] }));
        try {
          await until(sidecar, () => sidecar.status().via === `${a.address}:22`, 90_000);
          await measure(t, name, sidecar, () => outage(a));
        } finally {
          await a.heal();
          await sidecar.stop({ drainMs: 0 });
        }
      });
    }
  });
}

/** A name whose address changes, for this process. */
class MovingName implements Disposable {
  readonly name: string;
  address: string;
  readonly #lookup = dns.lookup;

  constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
    const real = this.#lookup;
    const lookup = async (host: string, options: LookupAllOptions): Promise<LookupAddress[]> =>
      host === name ? [{ address: this.address, family: 4 }] : await real(host, options);
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  }

  [Symbol.dispose](): void {
    Object.assign(dns, { lookup: this.#lookup });
    syncBuiltinESMExports();
  }
}

// Four at once: more would starve each other on two cores, and judge the machine.
suite('every fault', { concurrency: 4 }, () => {
  ofNetwork(brief);
  ofNetwork(long);

  const ofSshd: Partial<
    Record<FaultName, { readonly config?: string[]; readonly make: (first: Sshd) => Promise<void> }>
  > = {
    ...Object.fromEntries(
      ([9, 25, 40] as const).map((seconds) => [
        `sshd-stopped-${seconds}s`,
        {
          make: async (first: Sshd) => {
            first.pause();
            await delay(seconds * 1_000);
            first.resume();
          },
        },
      ]),
    ),
    'rekey-under-load': { config: ['RekeyLimit 1M'], make: () => delay(10_000) },
  };
  for (const [name, { config, make }] of Object.entries(ofSshd)) {
    test(title(name as FaultName), { timeout: 180_000 }, async (t) => {
      const destination = new Child('destination', process.execPath, [script]);
      const first = await startBastion(config === undefined ? {} : { config });
      const second = await startBastion();
      const port = await portOf(destination);
      const sidecar = await openSidecar(tunnelConfig([first.hop, second.hop], { forwards: [{ port }] }));
      try {
        await until(sidecar, () => sidecar.status().via === `${first.hop.host}:${first.hop.port}`, 90_000);
        await measure(t, name as FaultName, sidecar, () => make(first.sshd));
      } finally {
        first.sshd.resume();
        await sidecar.stop({ drainMs: 0 });
        for (const bastion of [first, second]) await bastion.stop();
        await destination.kill();
      }
    });
  }

  test(title('idle-channels-ended'), { timeout: 180_000 }, async (t) => {
    const config = ['ChannelTimeout direct-tcpip=3s', 'UnusedConnectionTimeout 4s', 'ClientAliveInterval 2'];
    const destination = new Child('destination', process.execPath, [script]);
    const bastion = await startBastion({ config: [...config, 'ClientAliveCountMax 2'] });
    const port = await portOf(destination);
    const from = performance.now();
    const sidecar = await openSidecar(tunnelConfig([bastion.hop], { forwards: [{ port }] }));
    try {
      await untilConnected(sidecar);
      await delay(12_000);
      const { lost } = await sessionsAt(sidecar.adminPort ?? 0);
      const seconds = (performance.now() - from) / 1_000;
      t.diagnostic(`${lost} sessions without clients were ended in ${seconds.toFixed(1)} s`);
      // Each lives for 3 s at least, by sshd's clock of whole seconds.
      assert.ok(lost >= 1 && lost <= 1 + seconds / 3, 'no storm of logins');
      await measure(t, 'idle-channels-ended', sidecar, async () => {
        const idle = await client(sidecar);
        const end = endOf(idle);
        idle.write(header('E'));
        idle.write('x');
        await once(idle, 'data');
        const from = performance.now();
        // Sshd says EOF before it closes the channel, as if the destination had ended.
        assert.equal(await end, 'end');
        t.diagnostic(`an idle connection was ended after ${Math.round(performance.now() - from)} ms`);
        await delay(5_000);
      });
    } finally {
      await sidecar.stop({ drainMs: 0 });
      await bastion.stop();
      await destination.kill();
    }
  });

  test(title('bastion-moves'), { timeout: 180_000 }, async (t) => {
    const destination = new Child('destination', process.execPath, [script]);
    const port = await portOf(destination);
    const old = await startBastion({ host: '127.0.0.2' });
    const next = await startBastion({ host: '127.0.0.3', port: old.hop.port });
    next.sshd.authorize([old.publicKey]);
    using name = new MovingName('bastion.example.test', '127.0.0.2');
    const hosts = [old, next].map(({ sshd, hop }) => sshd.knownHosts({ name: `[${name.name}]:${hop.port}` })).join('');
    using secret = new SecretDirectory({ 'ssh-privatekey': old.privateKey, known_hosts: hosts });
    const credentials = { secretName: 'orders-bastion', directory: secret.directory };
    const hop = { ...old.hop, host: name.name, credentials };
    const sidecar = await openSidecar(tunnelConfig([hop], { forwards: [{ port }] }));
    try {
      await untilConnected(sidecar);
      await measure(t, 'bastion-moves', sidecar, async () => {
        name.address = '127.0.0.3';
        await delay(5_000);
        const { lost } = await sessionsAt(sidecar.adminPort ?? 0);
        assert.equal(lost, 0, 'the old one carries as long as it is there');
        await old.sshd.kill();
      });
      assert.ok(next.sshd.log().some((line) => line.includes('Accepted publickey')));
    } finally {
      await sidecar.stop({ drainMs: 0 });
      for (const bastion of [old, next]) await bastion.stop();
      await destination.kill();
    }
  });

  const silent = (ms: number) => async (service: SessionManager) => {
    await service.set({ Silent: true });
    await delay(ms);
    await service.set({ Silent: false });
  };
  const cutThrice = async (service: SessionManager): Promise<void> => {
    for (let round = 0; round < 3; round += 1) {
      await service.order('cut');
      await delay(3_000);
    }
  };
  const ofNode: Partial<
    Record<FaultName, { readonly switches?: Switches; readonly make: (service: SessionManager) => Promise<unknown> }>
  > = {
    'socket-bye': { make: (service) => service.order('bye') },
    'socket-cut': { make: (service) => service.order('cut') },
    'socket-cut-old-agent': { switches: { AgentVersion: '3.1.1374.0' }, make: cutThrice },
    'agent-reconnects': { make: (service) => service.order('reconnect', 4_000) },
    'agent-silent-12s': { make: silent(12_000) },
    'agent-silent-20s': { make: silent(20_000) },
    'agent-gives-up': { make: (service) => service.order('giveup') },
    'agent-restarts': {
      make: async (service) => {
        await service.order('restart', 2_000);
        await delay(3_000);
      },
    },
    'worker-killed': { make: (service) => service.order('kill') },
    'sessions-evicted': { make: (service) => service.order('evict', 1) },
    'messages-lost': {
      make: async (service) => {
        await service.set({ LossPercent: 1 });
        await delay(10_000);
        await service.set({ LossPercent: 0 });
      },
    },
  };
  for (const [name, { switches = {}, make }] of Object.entries(ofNode)) {
    test(title(name as FaultName), { timeout: 180_000 }, async (t) => {
      const destination = new Child('destination', process.execPath, [script]);
      try {
        await using tunnel = await SsmTunnel.start({ forwards: [{ port: await portOf(destination) }], switches });
        await untilConnected(tunnel.sidecar, 60_000);
        await measure(t, name as FaultName, tunnel.sidecar, () => make(tunnel.service));
      } finally {
        await destination.kill();
      }
    });
  }
});
