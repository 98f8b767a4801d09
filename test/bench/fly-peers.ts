// The two peers into a private network of fly.io: the bundled sidecar with its helper, and a plain client on the same WireGuard and TCP engine,
// both at one gateway of the tests. Neighbours: fly.ts starts them, sidecar.ts is our side, fly-client/ is the plain one.

import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type FlyWorld, firstMachine, flyWorld } from '../support/fly/fly-world.ts';
import { goProgram } from '../support/go-program.ts';
import { configOf, echoes, startSidecar, type Tunnel } from './sidecar.ts';

const token = 'fo1_test';
/** As wireguard-go and flyctl have it; ours has 1,280. */
const plainMtu = 1420;

/** Where the tunnels lead. */
export interface FlyWay {
  readonly world: FlyWorld;
  readonly destinationPort: number;
  /** A folder for the file with the token. */
  readonly directory: string;
}

const plainClient = async (): Promise<string> =>
  await goProgram({ name: 'fly-client', directory: join(import.meta.dirname, 'fly-client'), package: '.' });

/** Builds the Go programs of the run that are not built yet: this needs a network. */
export async function buildPrograms(): Promise<void> {
  await plainClient();
  await (await flyWorld())[Symbol.asyncDispose]();
}

/**
 * fly.io on its own ports, which are free in a network of the run's own. Its far side takes a new connection between the ports of an ended one, as
 * Linux does: the plain client chooses ports at random, and would else wait for a minute now and then.
 */
export async function startWorld(): Promise<FlyWorld> {
  return await flyWorld({ udpPort: 51_820, wsPort: 443, timeWaitMs: 1 });
}

export async function startOurs(program: string, { world, destinationPort, directory }: FlyWay): Promise<Tunnel> {
  const secret = join(directory, 'fly');
  mkdirSync(secret, { recursive: true });
  writeFileSync(join(secret, 'FLY_API_TOKEN'), token);
  return await startSidecar(
    program,
    (port) => {
      const { forwards, ...config } = configOf(port, destinationPort);
      const destination = { host: 'orders-db.internal', port: destinationPort };
      return {
        ...config,
        forwards: forwards.map((forward) => ({ ...forward, destination })),
        driver: 'fly',
        fly: {
          app: 'orders-db',
          network: '',
          region: '',
          transport: 'UDP',
          directory,
          credentials: { secretName: 'bench', directory: secret },
        },
      };
    },
    { permissions: { flyApiUrl: world.api.url } },
  );
}

/** A plain client that has echoed. */
export async function startPlain({ world, destinationPort }: FlyWay): Promise<Tunnel> {
  const { gateway } = world;
  const keys = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (part: string | undefined): string => Buffer.from(part ?? '', 'base64url').toString('base64');
  const address = firstMachine.replace(/::100$/, ':a7b:35c:0:ff:102');
  await gateway.addPeer(base64(keys.x), address);
  const began = performance.now();
  const child = spawn(await plainClient(), [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const config = {
    privateKey: base64(keys.d),
    gatewayKey: gateway.publicKey,
    address,
    endpoint: `127.0.0.1:${gateway.udpPort}`,
    destination: `[${firstMachine}]:${destinationPort}`,
    mtu: plainMtu,
  };
  child.stdin.write(`${JSON.stringify(config)}\n`);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const port = Number(line.split(' ')[1]);
  if (child.pid === undefined || !(await echoes(port))) throw new Error('the plain client did not carry a byte');
  return {
    port,
    pid: child.pid,
    startMs: performance.now() - began,
    links: async () => 1,
    stop: async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
