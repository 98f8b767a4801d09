// Writes an image as the tar file that `docker load`, `ctr images import` and buildah all read, from layers that are plain tars.
// Neighbour: images.ts, whose images come from no registry.
import { createHash } from 'node:crypto';
import { createReadStream, linkSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { command } from '../process/command.ts';

export interface ImageArchive {
  readonly file: string;
  /** Name and tag that the image has once loaded. */
  readonly reference: string;
  /** Uncompressed tars on the archive's own file system, lowest first. */
  readonly layers: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
}

/** Replaces the file at once when it is complete. */
export async function writeArchive({ file, reference, layers, entrypoint, command: cmd }: ImageArchive): Promise<void> {
  const directory = mkdtempSync(join(dirname(file), '.archive-'));
  try {
    const digests = await Promise.all(layers.map(sha256));
    const config = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }),
        ...(cmd === undefined ? {} : { Cmd: cmd }),
      },
      rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
      history: digests.map(() => ({ created_by: 'portforward test cluster' })),
    });
    const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
    writeFileSync(join(directory, configName), config);
    const names = digests.map((digest, index) => `${index}-${digest}.tar`);
    for (const [index, layer] of layers.entries()) linkSync(layer, join(directory, names[index] ?? ''));
    const manifest = [{ Config: configName, RepoTags: [reference], Layers: names }];
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
    const whole = join(directory, 'image');
    await command('tar', ['-cf', whole, '-C', directory, 'manifest.json', configName, ...names]);
    renameSync(whole, file);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A tar of `directory` as its root, owned by root. */
export async function writeLayer(file: string, directory: string): Promise<void> {
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0'];
  await command('tar', ['-cf', file, ...same, '-C', directory, '.']);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
