// A private network on one machine: two bastions with real sshd, each with one leg that the cluster reaches and one into a network
// that nothing else reaches, and a real PostgreSQL there.
//
//     host ── 198.18.192.0/30 ── bastion-a ──┐
//     host ── 198.18.192.4/30 ── bastion-b ──┴─ 198.19.0.0/24 ── private (PostgreSQL on 198.19.0.10)
//
// Neighbours: namespace.ts (one host), sshd.ts, postgres.ts; lab/base/places.ts has the cluster's own addresses.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, succeeds } from '../process/command.ts';
import { tryLock } from '../process/lock.ts';
import { signalProcess } from '../process/proc.ts';
import { isOnlyUser } from '../process/user.ts';
import { Namespace } from './namespace.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { generateKey, type KeyPair, type Sshd, type SshdOptions, startSshd } from './sshd.ts';

export interface PrivateNetworkOptions {
  /** Several networks can stand side by side, 0 to 15; Default: the first that no living process has. */
  readonly instance?: number;
  /** Lines for sshd_config of both bastions. */
  readonly config?: readonly string[];
  readonly password?: string;
  /** TLS at PostgreSQL. */
  readonly ssl?: boolean;
}

/** One bastion and the faults of its leg to the cluster. Every fault stays until `heal` or `stop`. */
export interface Bastion extends Sshd {
  /** `bastion-a.example.test`; who needs it to resolve adds `address` to a DNS or a hosts file. */
  readonly name: string;
  readonly address: string;
  /** This machine’s own address on the leg to it. */
  readonly hostAddress: string;
  readonly namespace: string;
  /** Drops every packet both ways: silence. */
  blackHole(only?: 'input' | 'output'): Promise<void>;
  /** Answers every packet to sshd with a reset. */
  refuse(): Promise<void>;
  /** Pulls the cable. */
  linkDown(): Promise<void>;
  heal(): Promise<void>;
}

export interface PrivateNetwork {
  readonly bastions: { readonly a: Bastion; readonly b: Bastion };
  readonly postgres: Postgres;
  /** What the bastions resolve `orders.db.internal` to. */
  readonly databaseName: 'orders.db.internal';
  /** In the authorized keys of both bastions. */
  readonly key: KeyPair;
  /** Lines for both bastions by name. */
  readonly knownHosts: string;
  /** Where the database's machine is inside: more servers can be started there. */
  readonly inside: { readonly namespace: string; readonly address: string };
  /** The database's machine drops every packet to these ports (default: 5432), or answers again on all. */
  silenceDatabase(ports?: readonly number[]): Promise<void>;
  healDatabase(): Promise<void>;
  /** Ends every process and removes every namespace, link and route. Safe to call twice. */
  stop(): Promise<void>;
}

/** Resolves when both bastions and the database answer. Needs root. */
export async function startPrivateNetwork(options: PrivateNetworkOptions = {}): Promise<PrivateNetwork> {
  const { instance, release } = claim(options.instance);
  const prefix = `pf${instance}`;
  const uplink = (index: number): { host: string; bastion: string; device: string } => {
    const first = 8 * index;
    const octet = 192 + instance;
    return {
      host: `198.18.${octet}.${first + 1}`,
      bastion: `198.18.${octet}.${first + 2}`,
      device: `${prefix}-up-${index}`,
    };
  };
  const inside = `198.19.${instance}`;
  const databaseAddress = `${inside}.10`;
  const directory = mkdtempSync(join(tmpdir(), 'portforward-network-'));
  const cleanups: (() => Promise<unknown>)[] = [
    async () => release(),
    async () => rmSync(directory, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  };
  try {
    // Whatever the machine's own uplink would answer: without a bastion there is no way to the private network.
    // And while a cable is pulled, none to its bastion by another way.
    for (const range of rangesOf(instance)) {
      await succeeds('ip', ['route', 'replace', 'unreachable', range]);
      cleanups.push(() => succeeds('ip', ['route', 'delete', 'unreachable', range]));
    }
    const room = await Namespace.create(`${prefix}-private`);
    cleanups.push(() => room.delete());
    await room.ip('link', 'add', 'lan', 'type', 'bridge');
    await room.ip('address', 'add', `${databaseAddress}/24`, 'dev', 'lan');
    await room.ip('link', 'set', 'lan', 'up');

    const postgres = await startPostgres({
      host: databaseAddress,
      port: 5432,
      namespace: room.name,
      ssl: options.ssl ?? false,
    });
    cleanups.push(() => postgres.stop());
    const key = await generateKey(directory);

    const addBastion = async (letter: 'a' | 'b', index: number): Promise<Bastion> => {
      const { host, bastion, device } = uplink(index);
      const namespace = await Namespace.create(`${prefix}-bastion-${letter}`);
      cleanups.push(() => namespace.delete());
      await succeeds('ip', ['link', 'delete', device]);
      await command('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', namespace.name]);
      cleanups.push(() => succeeds('ip', ['link', 'delete', device]));
      await command('ip', ['address', 'add', `${host}/30`, 'dev', device]);
      await command('ip', ['link', 'set', device, 'up']);
      // The cluster's pods come through the host; for this interface alone, so that it forwards nothing else.
      writeFileSync(`/proc/sys/net/ipv4/conf/${device}/forwarding`, '1\n');
      await namespace.ip('address', 'add', `${bastion}/30`, 'dev', 'uplink');
      await namespace.ip('link', 'set', 'uplink', 'up');
      await namespace.ip('route', 'add', 'default', 'via', host);
      await namespace.ip('link', 'add', 'lan', 'type', 'veth', 'peer', 'name', `lan-${letter}`, 'netns', room.name);
      await namespace.ip('address', 'add', `${inside}.${index + 1}/24`, 'dev', 'lan');
      await namespace.ip('link', 'set', 'lan', 'up');
      await room.ip('link', 'set', `lan-${letter}`, 'master', 'lan', 'up');
      const settings: SshdOptions = {
        host: bastion,
        port: 22,
        namespace: namespace.name,
        authorizedKeys: [key.publicKey],
        hosts: { 'orders.db.internal': databaseAddress },
        ...(options.config === undefined ? {} : { config: options.config }),
        ...(options.password === undefined ? {} : { password: options.password }),
      };
      // sshd has no right to a low port there, where it is not root.
      const lowPorts = 'echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start';
      if (isOnlyUser()) await namespace.run('sh', '-c', lowPorts);
      const sshd = await startSshd(settings);
      cleanups.push(() => sshd.stop());
      const drop = (hook: 'input' | 'output'): { hook: 'input' | 'output'; rule: string } => ({
        hook,
        rule: `${hook === 'input' ? 'iifname' : 'oifname'} "uplink" drop`,
      });
      return {
        ...sshd,
        name: `bastion-${letter}.example.test`,
        address: bastion,
        hostAddress: host,
        namespace: namespace.name,
        blackHole: (only) => namespace.faults(only === undefined ? [drop('input'), drop('output')] : [drop(only)]),
        refuse: () =>
          namespace.faults([{ hook: 'input', rule: 'iifname "uplink" tcp dport 22 reject with tcp reset' }]),
        linkDown: async () => void (await command('ip', ['link', 'set', device, 'down'])),
        heal: async () => {
          await namespace.faults([]);
          await command('ip', ['link', 'set', device, 'up']);
        },
      };
    };
    const a = await addBastion('a', 0);
    const b = await addBastion('b', 1);
    return {
      bastions: { a, b },
      postgres,
      databaseName: 'orders.db.internal',
      key,
      knownHosts: [a, b].map((bastion) => bastion.knownHosts({ name: bastion.name })).join(''),
      inside: { namespace: room.name, address: databaseAddress },
      silenceDatabase: (ports = [5432]) =>
        room.faults([{ hook: 'input', rule: `tcp dport { ${ports.join(', ')} } drop` }]),
      healDatabase: () => room.faults([]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Removes namespaces with what runs in them, links and routes of networks whose process was killed before it could; those of living processes stay. */
export async function removeAbandonedNetworks(): Promise<void> {
  if (process.getuid?.() !== 0 || !existsSync('/run/netns')) return;
  for (let instance = 0; instance < maxInstances; instance += 1) {
    const left = (): string[] => readdirSync('/run/netns').filter((name) => name.startsWith(`pf${instance}-`));
    if (left().length === 0) continue;
    const release = tryLock(lockOf(instance));
    if (release === undefined) continue;
    // Another process may have removed some before this one had the lock.
    for (const name of left()) {
      await endProcessesIn(name);
      await succeeds('ip', ['netns', 'delete', name]);
    }
    for (const index of [0, 1]) await succeeds('ip', ['link', 'delete', `pf${instance}-up-${index}`]);
    for (const range of rangesOf(instance)) await succeeds('ip', ['route', 'delete', 'unreachable', range]);
    release();
  }
}

/** They are of a network whose owner is dead: what it started there, and nobody else's. */
async function endProcessesIn(namespace: string): Promise<void> {
  const pids = (await command('ip', ['netns', 'pids', namespace])).split('\n').filter((line) => line !== '');
  for (const pid of pids) signalProcess(Number(pid), 'SIGKILL');
}

const lockOf = (instance: number): string => `/var/tmp/portforward-network-${instance}.lock`;

/** What lies behind the bastions, and their outer legs. */
const rangesOf = (instance: number): readonly string[] => [`198.19.${instance}.0/24`, `198.18.${192 + instance}.0/24`];

const maxInstances = 16;

/** Reserves a network's names and addresses for this process; a process that died has lost them. */
function claim(wanted: number | undefined): { readonly instance: number; readonly release: () => void } {
  const all = wanted === undefined ? Array.from({ length: maxInstances }, (_, index) => index) : [wanted];
  for (const instance of all) {
    const release = tryLock(lockOf(instance));
    if (release !== undefined) return { instance, release };
  }
  throw new Error(`the private network ${wanted ?? `0 to ${maxInstances - 1}`} is in use by another process`);
}
