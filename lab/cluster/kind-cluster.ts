// The cluster for machines where Docker runs: kind, in a kubeconfig of its own, never the user's.
// Neighbours: cluster.ts chooses it; host-cluster.ts is the way without Docker.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Places } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import type { BuildImageOptions } from '../images/image-build.ts';
import { ensureImage } from '../images/images.ts';
import { CommandFailed, command, succeeds } from '../process/command.ts';
import { ensurePrograms } from '../programs/programs.ts';
import { type KubectlOptions, kubectl } from './kubectl.ts';

/** Whether Docker's daemon answers and `kind` can be called. */
export async function kindIsPossible(): Promise<boolean> {
  const quick = { timeoutMs: 5_000 };
  return (await succeeds('docker', ['version'], quick)) && (await succeeds('kind', ['version'], quick));
}

export class KindCluster {
  readonly places: Places;

  constructor(places: Places) {
    this.places = places;
  }

  async up(options: {
    readonly log: Log;
    readonly signal?: AbortSignal;
    readonly agree: (changes: readonly string[]) => Promise<boolean>;
  }): Promise<void> {
    const { log } = options;
    const given = { log, ...(options.signal === undefined ? {} : { signal: options.signal }) };
    await ensurePrograms(['kubectl', 'helm', 'etcd', 'kube-apiserver'], given);
    if (await this.exists()) return;
    const changes = [`a kind cluster ${this.places.name} in Docker`, `run directory ${this.places.directory}`];
    if (!(await options.agree(changes))) throw new Error('the test cluster was not started: not agreed to');
    mkdirSync(this.places.directory, { recursive: true });
    const { name, kubeconfig } = this.places;
    const args = ['create', 'cluster', '--name', name, '--kubeconfig', kubeconfig, '--wait', '120s'];
    await step(log, 'create the kind cluster', () => command('kind', args, { timeoutMs: 600_000 }));
    for (const image of ['base', 'client'] as const) {
      const { archive } = await ensureImage(image, given);
      await this.loadImage(archive);
      await command('docker', ['load', '--input', archive]);
    }
  }

  async exists(): Promise<boolean> {
    try {
      return (await command('kind', ['get', 'clusters'])).split('\n').includes(this.places.name);
    } catch (error) {
      if (error instanceof CommandFailed) return false;
      throw error;
    }
  }

  async down(log: Log): Promise<void> {
    const args = ['delete', 'cluster', '--name', this.places.name, '--kubeconfig', this.places.kubeconfig];
    await step(log, `remove ${this.places.name}`, () => command('kind', args));
    await command('rm', ['-rf', this.places.directory]);
  }

  async kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    return kubectl(this.places.kubeconfig, args, options);
  }

  async loadImage(archive: string): Promise<void> {
    await command('kind', ['load', 'image-archive', archive, '--name', this.places.name], { timeoutMs: 300_000 });
  }

  /** The node container's address. */
  async nodeIP(): Promise<string> {
    const path = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}';
    return this.kubectl(['get', 'nodes', '--output', path]);
  }
}

/** Builds with Docker and leaves the archive in `directory`. */
export async function buildWithDocker(
  options: BuildImageOptions,
  baseReference: string,
  directory: string,
): Promise<string> {
  const buildArgs = { BASE_IMAGE: baseReference, ...options.buildArgs };
  const args = ['build', '--tag', options.tag, '--file', options.dockerfile];
  for (const [name, value] of Object.entries(buildArgs)) args.push('--build-arg', `${name}=${value}`);
  if (options.target !== undefined) args.push('--target', options.target);
  const abort = options.signal === undefined ? {} : { signal: options.signal };
  await command('docker', [...args, options.context], { timeoutMs: 30 * 60_000, ...abort });
  mkdirSync(directory, { recursive: true });
  const archive = join(directory, `${options.tag.replace(/[^\w.-]+/g, '_')}.tar`);
  await command('docker', ['save', '--output', archive, options.tag], { timeoutMs: 300_000, ...abort });
  return archive;
}
