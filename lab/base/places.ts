// Where the test cluster keeps things and which addresses it takes: caches that stay, the run directory that `down` removes,
// and for each instance a block of 198.18.0.0/15, the range that RFC 2544 sets aside for test networks.
// Neighbours: everything here reads it; the private network's blocks are beside, in lab/private-network/network.ts.
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Binaries and images, kept over runs: `$PF_CACHE_DIR`, else `portforward` in the user's cache directory. */
export function cacheDirectory(): string {
  const { PF_CACHE_DIR, XDG_CACHE_HOME } = process.env;
  return PF_CACHE_DIR ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'portforward');
}

/** A program that programs.ts builds, in the cache. Checkouts that pin other versions have folders of their own there. */
export function cachedProgram(name: string): string {
  pinned ??= pinnedVersions();
  return join(cacheDirectory(), 'bin', pinned, name);
}

let pinned: string | undefined;

/** The content of the module that the programs are built from, in twelve characters. */
function pinnedVersions(): string {
  const module = join(import.meta.dirname, '..', 'programs', 'go');
  const hash = createHash('sha256');
  for (const file of globSync('**/*.{go,mod,sum}', { cwd: module }).toSorted())
    hash.update(`${file}\n`).update(readFileSync(join(module, file)));
  return hash.digest('hex').slice(0, 12);
}

/** How many clusters can stand side by side on one machine. */
export const maxInstances = 3;

/** The outer legs of all private networks' bastions; what lies behind them, 198.19.0.0/16, no cluster has a route to. */
export const bastionRange = '198.18.192.0/18';

/** One cluster's name, directories and addresses. Two instances share nothing but the caches. */
export interface Places {
  readonly instance: number;
  /** Names its host interface, its control groups and its kind cluster. */
  readonly name: string;
  /** Everything that runs: certificates, etcd's data, process ids, logs, kubeconfig. */
  readonly directory: string;
  readonly logs: string;
  readonly kubeconfig: string;
  /** The host's end of the link to the node. */
  readonly hostIP: string;
  /** The node's end: here the API server and the cluster's DNS listen. */
  readonly nodeIP: string;
  readonly linkPrefix: number;
  /** 1,022 or more pods, and 4,094 Services. */
  readonly podRange: string;
  readonly serviceRange: string;
  readonly firstServiceIP: string;
  /** Pods and Services together: what the host routes to the node. */
  readonly routedRange: string;
}

/** @throws RangeError for an instance that has no address block. */
export function placesOf(instance = 0): Places {
  if (!Number.isInteger(instance) || instance < 0 || instance >= maxInstances) {
    throw new RangeError(`a test cluster's instance is a number from 0 to ${maxInstances - 1}, not ${instance}`);
  }
  const base = resolve(process.env['PF_CLUSTER_DIR'] ?? '/var/tmp/portforward-cluster');
  const directory = instance === 0 ? base : `${base}-${instance}`;
  // A /18 each; the fourth is `bastionRange`.
  const block = 64 * instance;
  return {
    instance,
    name: `portforward-${instance}`,
    directory,
    logs: join(directory, 'logs'),
    kubeconfig: join(directory, 'kubeconfig'),
    hostIP: `198.18.${block + 32}.1`,
    nodeIP: `198.18.${block + 32}.2`,
    linkPrefix: 30,
    podRange: `198.18.${block}.0/21`,
    serviceRange: `198.18.${block + 16}.0/20`,
    firstServiceIP: `198.18.${block + 16}.1`,
    routedRange: `198.18.${block}.0/19`,
  };
}
