// Builds a Dockerfile without Docker: buildah, with its layers kept in the cache, on a base image from a file.
// Neighbours: images.ts has the base; host-cluster.ts imports what is built.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { overlayIsPossible } from '../base/overlay.ts';
import { cacheDirectory } from '../base/places.ts';
import { command, succeeds } from '../process/command.ts';
import { withLock } from '../process/lock.ts';
import type { Image } from './images.ts';

export interface BuildImageOptions {
  /** Path of the Dockerfile. */
  readonly dockerfile: string;
  /** Directory that COPY reads from. */
  readonly context: string;
  /** Name and tag, such as `localhost/portforward/portforward:test`. */
  readonly tag: string;
  /** Build arguments; `BASE_IMAGE` is by default the local base image. */
  readonly buildArgs?: Readonly<Record<string, string>>;
  /** The stage to build. Default: the last. */
  readonly target?: string;
  readonly signal?: AbortSignal;
}

/** Builds and writes the archive into `directory`. Layers that did not change are taken from the last build. @throws CommandFailed with the build's last words. */
export async function buildWithBuildah(options: BuildImageOptions, base: Image, directory: string): Promise<Image> {
  const abort = options.signal === undefined ? {} : { signal: options.signal };
  const storage = join(cacheDirectory(), 'buildah');
  mkdirSync(directory, { recursive: true });
  const policy = join(directory, 'policy.json');
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  const trust = ['--signature-policy', policy];
  const driver = overlayIsPossible(storage) ? 'overlay' : 'vfs';
  const global = ['--root', storage, '--runroot', join(directory, 'buildah'), '--storage-driver', driver];
  // In mounts of its own: buildah leaves its storage mounted otherwise.
  const call = (verb: string, args: readonly string[]): [string, string[]] => [
    'unshare',
    ['--mount', 'buildah', ...global, verb, ...args],
  ];
  const archive = join(directory, `${options.tag.replace(/[^\w.-]+/g, '_')}.tar`);
  await withLock(
    join(cacheDirectory(), 'buildah.lock'),
    async () => {
      if (!(await succeeds(...call('inspect', ['--type', 'image', base.reference]), abort))) {
        const from = `docker-archive:${base.archive}`;
        await command(...call('pull', ['--quiet', ...trust, from]), { timeoutMs: 300_000, ...abort });
      }
      const buildArgs = { BASE_IMAGE: base.reference, ...options.buildArgs };
      const args = ['--layers', '--pull-never', '--isolation', 'chroot', ...trust, '--tag', options.tag];
      for (const [name, value] of Object.entries(buildArgs)) args.push('--build-arg', `${name}=${value}`);
      if (options.target !== undefined) args.push('--target', options.target);
      args.push('--file', options.dockerfile, options.context);
      try {
        await command(...call('build', args), { timeoutMs: 30 * 60_000, interrupt: true, ...abort });
      } catch (error) {
        // A build that was cut off leaves its working containers.
        await succeeds(...call('rm', ['--all']));
        throw error;
      }
      rmSync(archive, { force: true });
      const to = `docker-archive:${archive}:${options.tag}`;
      await command(...call('push', ['--quiet', ...trust, options.tag, to]), { timeoutMs: 300_000, ...abort });
    },
    abort,
  );
  return { reference: options.tag, archive };
}
