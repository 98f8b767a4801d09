// The two peers over Session Manager, each as its users run it: the bundled sidecar, and AWS's session-manager-plugin, both with one
// service of the tests. Neighbours: ssm.ts starts them, sidecar.ts is our side, test/support/ssm has the service and the plugin.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Plugin } from '../support/ssm/plugin.ts';
import { SessionManager } from '../support/ssm/session-manager.ts';
import { configOf, echoes, startSidecar, type Tunnel } from './sidecar.ts';

const instance = 'i-0123456789abcdef0';
const region = 'eu-west-1';

/** Where the tunnels lead. */
export interface SsmWay {
  readonly service: SessionManager;
  readonly destinationPort: number;
  /** A folder for the file with keys. */
  readonly directory: string;
}

/** Builds the Go programs of the run that are not built yet: this needs a network. */
export async function buildPrograms(): Promise<void> {
  const service = await SessionManager.start();
  try {
    await (await Plugin.start(service, { instance, port: 1 })).stop();
  } finally {
    await service.stop();
  }
}

/** Resolves once all its sessions are up. */
export async function startOurs(program: string, way: SsmWay, sessions: number): Promise<Tunnel> {
  const { endpoint, credentials } = way.service;
  const directory = join(way.directory, 'aws');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'AWS_ACCESS_KEY_ID'), credentials.accessKeyId);
  writeFileSync(join(directory, 'AWS_SECRET_ACCESS_KEY'), credentials.secretAccessKey);
  const tunnel = await startSidecar(program, (port) => ({
    ...configOf(port, way.destinationPort),
    driver: 'ssm',
    ssm: {
      region,
      target: { instanceId: instance },
      credentials: { secretName: 'bench', directory },
      sessions,
      maxSessionMinutes: 0,
      endpoints: { ssm: endpoint, ssmmessages: '', sts: '', ecs: '' },
    },
  }));
  const deadline = performance.now() + 60_000;
  while ((await tunnel.links()) < sessions) {
    if (performance.now() > deadline) throw new Error(`not ${sessions} sessions after a minute`);
    await delay(50);
  }
  return tunnel;
}

/**
 * A plugin that has echoed. In about one of thirty starts a race in the plugin ends its reader, and it hears nothing from then on: then
 * another is started, three at most.
 */
export async function startPlugin({ service, destinationPort }: SsmWay): Promise<Tunnel> {
  for (let attempt = 1; ; attempt += 1) {
    const began = performance.now();
    const plugin = await Plugin.start(service, { instance, port: destinationPort });
    const { pid, port } = plugin;
    if (pid !== undefined && (await echoes(port))) {
      const startMs = performance.now() - began;
      return { port, pid, startMs, links: async () => 1, stop: async () => await plugin.stop() };
    }
    await plugin.stop();
    if (attempt === 3) throw new Error('three plugins in a row did not carry a byte');
  }
}
