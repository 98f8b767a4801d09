// What a cluster changes on the machine itself, told before it is done, recorded, and undone: one network link with its routes,
// a few kernel settings that the kubelet writes, control groups, empty directories.
// Neighbours: node-namespace.ts keeps everything else inside; host-cluster.ts calls this around it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bastionRange, maxInstances, type Places, placesOf } from '../base/places.ts';
import { command, succeeds } from '../process/command.ts';
import { makeControlGroups, removeControlGroups } from './control-groups.ts';
import { privateDirectories } from './node-namespace.ts';

/** The kubelet sets these for the whole machine; no option stops it. */
const kernelSettings = [
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
  'vm/overcommit_memory',
];

/** Where the kernel counts connections of a network with a bridge; not there where it is a module that nobody loaded. */
const bridgeFilter = '/proc/sys/net/bridge/bridge-nf-call-iptables';

interface Before {
  readonly settings: { readonly [name: string]: string };
  /** Directories that were not there before. */
  readonly directories: readonly string[];
}

/** One sentence for each change that `up` makes to the machine, besides packages. */
export function plannedChanges(places: Places): string[] {
  const settings = kernelSettings.map((name) => name.replaceAll('/', '.')).join(', ');
  const missing = privateDirectories.filter((directory) => !existsSync(directory));
  const changes = [
    `network interface ${hostInterface(places)} with address ${places.hostIP}/${places.linkPrefix}, and a route to ${places.routedRange} over it`,
    `kernel settings ${settings} (the kubelet writes them; restored by down)`,
    `control groups ${places.name}`,
    `run directory ${places.directory} (all data, logs and process ids)`,
    'processes in namespaces of their own: their mounts, bridges, routes and packet filters do not touch the machine',
  ];
  if (missing.length > 0) changes.push(`empty directories ${missing.join(', ')} (removed by down)`);
  if (!existsSync(bridgeFilter))
    changes.push('kernel module br_netfilter loaded (stays until the next start of the machine)');
  return changes;
}

/** Writes down how the machine was, then makes what the node needs before it starts. Safe to run twice: the first record stays. */
export async function prepareMachine(places: Places): Promise<void> {
  const file = recordFile(places);
  if (!existsSync(file)) {
    await assertAddressesFree(places);
    // If another instance runs, the machine is changed already: its record says how the machine was before.
    const record = otherRecords(places)[0] ?? {
      settings: Object.fromEntries(
        kernelSettings.map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8').trim()]),
      ),
      directories: privateDirectories.filter((directory) => !existsSync(directory)),
    };
    mkdirSync(places.directory, { recursive: true, mode: 0o755 });
    writeFileSync(file, JSON.stringify(record));
  }
  for (const directory of privateDirectories) mkdirSync(directory, { recursive: true });
  if (!existsSync(bridgeFilter)) await command('modprobe', ['br_netfilter']);
  const handed = makeControlGroups(places.name);
  if (handed.length > 0) writeFileSync(handedFile(places), handed.join(' '));
}

/** The name of the host's end of the link to the node. */
function hostInterface(places: Places): string {
  return `pfnode${places.instance}`;
}

/**
 * Links the node to the host: the host reaches it, its pods and its Services, and they reach the bastions of private networks through
 * the host. They reach nothing else: the node has no default route.
 */
export async function linkNode(places: Places, nodePid: number): Promise<void> {
  const name = hostInterface(places);
  await succeeds('ip', ['link', 'delete', name]);
  await command('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'host', 'netns', `${nodePid}`]);
  await command('ip', ['address', 'add', `${places.hostIP}/${places.linkPrefix}`, 'dev', name]);
  await command('ip', ['link', 'set', name, 'up']);
  // For this interface alone, and gone with it: the machine as a whole does not become a router.
  writeFileSync(`/proc/sys/net/ipv4/conf/${name}/forwarding`, '1\n');
  const inside = (args: readonly string[]): Promise<string> =>
    command('nsenter', ['--target', `${nodePid}`, '--net', 'ip', ...args]);
  await inside(['address', 'add', `${places.nodeIP}/${places.linkPrefix}`, 'dev', 'host']);
  await inside(['link', 'set', 'host', 'up']);
  await inside(['route', 'add', bastionRange, 'via', places.hostIP]);
  await command('ip', ['route', 'replace', places.routedRange, 'via', places.nodeIP, 'dev', name]);
}

/** Undoes all of it. The node must be gone. */
export async function restoreMachine(places: Places): Promise<void> {
  await succeeds('ip', ['link', 'delete', hostInterface(places)]);
  const handed = existsSync(handedFile(places)) ? readFileSync(handedFile(places), 'utf8').split(' ') : [];
  removeControlGroups(places.name, handed);
  const file = recordFile(places);
  // The last instance that goes restores what all share.
  if (!existsSync(file) || otherRecords(places).length > 0) return;
  const record = JSON.parse(readFileSync(file, 'utf8')) as Before;
  for (const [name, value] of Object.entries(record.settings)) writeFileSync(`/proc/sys/${name}`, `${value}\n`);
  for (const directory of record.directories) {
    if (existsSync(directory) && readdirSync(directory).length === 0) rmdirSync(directory);
  }
}

function recordFile(places: Places): string {
  return join(places.directory, 'machine-before.json');
}

/** Controllers that version 2 of control groups handed down for us. */
function handedFile(places: Places): string {
  return join(places.directory, 'controllers-handed-down');
}

function otherRecords(places: Places): Before[] {
  return Array.from({ length: maxInstances }, (_, instance) => placesOf(instance))
    .filter(({ instance }) => instance !== places.instance)
    .map(recordFile)
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as Before);
}

/** @throws Error if this machine uses an address of ours for something else, such as a VPN. */
async function assertAddressesFree(places: Places): Promise<void> {
  const routes = JSON.parse(await command('ip', ['-json', '-4', 'route', 'show', 'table', 'main'])) as Route[];
  const ours = [places.routedRange, `${places.nodeIP}/${places.linkPrefix}`, bastionRange].map(toRange);
  for (const { dst, dev } of routes) {
    // Interfaces of clusters and private networks bear our prefix; what is unreachable has none.
    if (dst === 'default' || dev === undefined || dev.startsWith('pf')) continue;
    const { first, last } = toRange(dst);
    if (ours.some((range) => first <= range.last && range.first <= last)) {
      throw new Error(
        `the test cluster uses addresses of 198.18.0.0/15, and this machine routes ${dst} over ${dev}: take that interface down meanwhile`,
      );
    }
  }
}

interface Route {
  readonly dst: string;
  readonly dev?: string;
}

function toRange(text: string): { readonly first: number; readonly last: number } {
  const [address = '', prefix = '32'] = text.split('/');
  const number = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - Number(prefix));
  const first = Math.floor(number / size) * size;
  return { first, last: first + size - 1 };
}
