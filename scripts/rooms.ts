// The rooms of the house: what each folder of src/, lab/ and test/ may import of ours. Imports run downward only, so that a reader who
// opens a folder knows all that can be below it. ARCHITECTURE.md draws the same picture.
// Neighbours: oxlint.config.ts makes a lint rule of each row; test/unit/scripts/rooms.test.ts judges the table itself.
import { dirname, posix } from 'node:path';

const contract = ['src/contract', 'src/contract/api'];
const ground = [...contract, 'src/process'];

const sidecar = 'src/sidecar';
const ssh = `${sidecar}/drivers/ssh`;
const ssm = `${sidecar}/drivers/ssm`;
const fly = `${sidecar}/drivers/fly`;
const controller = 'src/controller';
const kube = `${controller}/kube`;

const driverGround = [...ground, `${sidecar}/base`];
const ssmGround = [...driverGround, `${ssm}/base`];
const kubeGround = [...ground, `${kube}/base`];
const kubeCalls = [...kubeGround, `${kube}/rest`];
const controllerGround = [...ground, `${kube}/base`, `${controller}/base`];

/** Folder → the other folders that its files may import. A folder may always import from itself. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  // The executable: subcommands, and the first thing that every process does.
  src: ['src/cli', 'src/cli/from', 'src/cli/kubectl', 'src/process'],
  'src/cli': [
    ...ground,
    controller,
    `${controller}/base`,
    `${controller}/children`,
    sidecar,
    `${sidecar}/base`,
    `${sidecar}/doctor`,
    `${sidecar}/drivers/ssh/base`,
  ],
  'src/cli/from': [...contract, 'src/cli', 'src/cli/kubectl', `${ssh}/login`],
  'src/cli/kubectl': [...ground, 'src/cli', `${controller}/children`],

  // What both halves agree on, and what any long-running process needs.
  'src/contract/api': ['src/contract'],
  'src/contract': ['src/contract/api'],
  'src/process': [],

  // Local port → driver session → destination.
  [sidecar]: [
    ...ground,
    `${sidecar}/base`,
    `${sidecar}/clients`,
    `${sidecar}/tunnel`,
    `${sidecar}/health`,
    `${sidecar}/doctor`,
    `${sidecar}/drivers`,
  ],
  [`${sidecar}/clients`]: [...ground, `${sidecar}/base`, `${sidecar}/tunnel`, `${sidecar}/clients/dialects`],
  [`${sidecar}/clients/dialects`]: [...contract, `${sidecar}/base`],
  [`${sidecar}/health`]: [...ground, `${sidecar}/base`, `${sidecar}/tunnel`],
  [`${sidecar}/doctor`]: [...ground, `${sidecar}/base`, `${sidecar}/health`, `${sidecar}/drivers`],
  [`${sidecar}/tunnel`]: [...ground, `${sidecar}/base`],
  [`${sidecar}/drivers`]: [...driverGround, ssh, `${ssh}/base`, ssm, fly],
  [ssh]: [...driverGround, `${ssh}/login`, `${ssh}/channels`, `${ssh}/base`],
  [`${ssh}/login`]: [...driverGround, `${ssh}/base`],
  [`${ssh}/channels`]: [...driverGround, `${ssh}/base`],
  [`${ssh}/base`]: [...contract, `${sidecar}/base`],
  [ssm]: [...ssmGround, `${ssm}/aws`, `${ssm}/channel`, `${ssm}/streams`, `${ssm}/streams/smux`],
  [`${ssm}/streams`]: [...ssmGround, `${ssm}/channel`],
  [`${ssm}/streams/smux`]: ssmGround,
  [`${ssm}/channel`]: [...ssmGround, `${ssm}/aws`],
  [`${ssm}/aws`]: ssmGround,
  [`${ssm}/base`]: driverGround,
  [fly]: [...driverGround, `${fly}/api`, `${fly}/helper`],
  [`${fly}/api`]: driverGround,
  [`${fly}/helper`]: driverGround,
  [`${sidecar}/base`]: ground,

  // PortForward → objects → status.
  [controller]: [
    ...controllerGround,
    `${controller}/children`,
    `${controller}/status`,
    `${kube}/rest`,
    `${kube}/cache`,
    `${kube}/apply`,
    `${kube}/workqueue`,
    `${kube}/leaderelection`,
    `${kube}/events`,
  ],
  [`${controller}/status`]: [...controllerGround, `${controller}/children`],
  [`${controller}/children`]: [...controllerGround, `${controller}/drivers`],
  [`${controller}/drivers`]: controllerGround,
  [`${controller}/base`]: kubeGround,
  [`${kube}/apply`]: [...kubeCalls, `${kube}/cache`],
  [`${kube}/cache`]: kubeCalls,
  [`${kube}/events`]: kubeCalls,
  [`${kube}/leaderelection`]: kubeCalls,
  [`${kube}/workqueue`]: kubeGround,
  [`${kube}/rest`]: kubeGround,
  [`${kube}/base`]: ['src/process'],

  // What the demo, the tests and the benchmarks stand on.
  'lab/cluster': ['lab/base', 'lab/process', 'lab/programs', 'lab/images', 'lab/private-network'],
  'lab/private-network': ['lab/base', 'lab/process'],
  'lab/images': ['lab/base', 'lab/process', 'lab/programs'],
  'lab/programs': ['lab/base', 'lab/process'],
  'lab/process': ['lab/base'],
  'lab/base': [],
};

/** Packages of others that a half must never load, as regular expressions, with the reason. */
export const foreignPackages: ReadonlyArray<{
  readonly within: string;
  readonly packages: string;
  readonly why: string;
}> = [
  { within: 'src/contract', packages: '^node:', why: 'the contract is pure: no I/O' },
  { within: sidecar, packages: '^@kubernetes/', why: 'the sidecar knows no Kubernetes: tunnel pods have no token' },
  { within: controller, packages: '^ssh2', why: 'the controller never speaks to a bastion' },
];

export interface ImportRule {
  /** Matches an import as it stands in a file of the room. */
  readonly regex: string;
  readonly message: string;
}

/** The imports that a file directly in `room` must not have, each with where the thing belongs. */
export function importRules(room: string): ImportRule[] {
  const allowed = new Set([room, ...(rooms[room] ?? [])]);
  const top = room.split('/', 1)[0];
  const others = Object.keys(rooms).filter((other) => !allowed.has(other) && other.split('/', 1)[0] === top);
  return [
    ...others.map((other) => ({
      regex: `^${escaped(specifierOf(room, other))}/[^/]+$`,
      message: `${room}/ must not import ${other}/: what both need belongs in ${sharedGround(room, other)}/ (scripts/rooms.ts)`,
    })),
    ...foreignPackages
      .filter(({ within }) => room === within || room.startsWith(`${within}/`))
      .map(({ packages, why }) => ({ regex: packages, message: `${why} (scripts/rooms.ts)` })),
    ...['test', 'scripts', top === 'src' ? 'lab' : 'src'].map((folder) => ({
      regex: `^${escaped(specifierOf(room, folder))}/`,
      message: `${room}/ must not import ${folder}/: ${top === 'src' ? 'the product ships without it' : 'the lab knows neither product nor tests'} (scripts/rooms.ts)`,
    })),
  ];
}

function specifierOf(from: string, to: string): string {
  const path = posix.relative(from, to);
  return path.startsWith('.') ? path : `./${path}`;
}

/** The nearest folder below both: the `base/` of the closest common parent that has one, else what all of src/ stands on. */
function sharedGround(one: string, other: string): string {
  for (let parent = dirname(one); parent !== '.'; parent = dirname(parent)) {
    const base = `${parent}/base`;
    if (other.startsWith(`${parent}/`) && rooms[base] !== undefined && one !== base) return base;
  }
  return one.startsWith('lab/') ? 'lab/base' : 'src/contract/ or src/process';
}

function escaped(text: string): string {
  return text.replaceAll('.', '\\.');
}
