// The image of a release, an OCI index of both architectures: the base's layers, and one of ours with the bundles and that architecture's
// native parts. Source maps stay outside: they are 8 MB, and nothing at run time reads them.
// Neighbours: base-image.ts, native-crypto.ts, native-engine.ts (what goes in), dockerfile.ts (how it runs).
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { helperName } from '../build/fly-helper.ts';
import { initName } from '../build/init.ts';
import { type Architecture, architectures } from './architectures.ts';
import { gzipped, writeTar } from './archive.ts';
import type { BaseImage } from './base-image.ts';
import { type RunConfig, runConfigOf } from './dockerfile.ts';
import { type Descriptor, digestOf, type Manifest, mediaType, OciLayout } from './oci-layout.ts';

export interface ImageParts {
  readonly version: string;
  readonly revision: string;
  readonly epoch: number;
  readonly base: BaseImage;
  /** The folder that scripts/build.ts filled. */
  readonly bundles: string;
  /** ssh2's native crypto of each architecture, by Node's name of it. */
  readonly nativeCrypto: Readonly<Record<Architecture['node'], string>>;
  /** The engine of the ssh data path of each architecture. */
  readonly nativeEngine: Readonly<Record<Architecture['node'], string>>;
  /** The fly driver's helper of each architecture. */
  readonly flyHelper: Readonly<Record<Architecture['node'], string>>;
  /** Process 1 of each architecture. */
  readonly init: Readonly<Record<Architecture['node'], string>>;
  readonly dockerfile: string;
}

export interface ReleaseImage {
  readonly layout: OciLayout;
  readonly index: Descriptor;
  readonly manifests: readonly Descriptor[];
}

interface Config {
  readonly architecture: string;
  readonly os: string;
  readonly config?: { readonly Env?: readonly string[]; readonly Labels?: Readonly<Record<string, string>> | null };
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly string[] };
  readonly history?: readonly object[];
}

/** Writes the layout into `directory` and names the index by its version. */
export async function writeImage(directory: string, parts: ImageParts, work: string): Promise<ReleaseImage> {
  const layout = OciLayout.create(directory);
  const runs = runConfigOf(parts.dockerfile);
  const manifests: Descriptor[] = [];
  for (const architecture of architectures) {
    manifests.push(await writePlatform(layout, architecture, parts, runs, work));
  }
  const annotations = annotationsOf(parts, runs);
  const index = layout.addJson(
    { schemaVersion: 2, mediaType: mediaType.index, manifests, annotations },
    mediaType.index,
  );
  layout.name(index, parts.version);
  return { layout, index, manifests };
}

async function writePlatform(
  layout: OciLayout,
  architecture: Architecture,
  parts: ImageParts,
  runs: RunConfig,
  work: string,
): Promise<Descriptor> {
  const { base } = parts;
  const from = base.manifests.get(architecture.oci);
  if (from === undefined) throw new Error(`the base has no manifest for ${architecture.oci}`);
  const manifest = base.layout.readJson<Manifest>(from.digest);
  const baseConfig = base.layout.readJson<Config>(manifest.config.digest);
  for (const layer of manifest.layers) layout.add(base.layout.read(layer.digest), layer.mediaType);

  const tar = join(work, `app-${architecture.node}.tar`);
  const app = join(work, `app-${architecture.node}`);
  mkdirSync(app);
  cpSync(parts.bundles, app, { recursive: true, filter: (file) => !file.endsWith('.map') });
  cpSync(parts.nativeCrypto[architecture.node], join(app, 'sshcrypto.node'));
  cpSync(parts.nativeEngine[architecture.node], join(app, 'engine.node'));
  cpSync(parts.flyHelper[architecture.node], join(app, helperName));
  cpSync(parts.init[architecture.node], join(app, initName));
  await writeTar(tar, { directory: app, epoch: parts.epoch, prefix: 'app/' });
  const layer = layout.add(gzipped(tar), mediaType.layer);

  const created = new Date(parts.epoch * 1000).toISOString();
  const labels = { ...baseConfig.config?.Labels, ...labelsOf(parts, runs) };
  const config = {
    ...baseConfig,
    created,
    config: {
      ...baseConfig.config,
      ...runs,
      Env: mergedEnv(baseConfig.config?.Env, runs.Env),
      Labels: labels,
      Cmd: undefined,
    },
    rootfs: { type: 'layers', diff_ids: [...baseConfig.rootfs.diff_ids, digestOf(readFileSync(tar))] },
    history: [...(baseConfig.history ?? []), { created, created_by: `portforward release ${parts.version}` }],
  };
  const written = layout.addJson(
    {
      schemaVersion: 2,
      mediaType: mediaType.manifest,
      config: layout.addJson(config, mediaType.config),
      layers: [...manifest.layers, layer],
      annotations: { ...annotationsOf(parts, runs), 'org.opencontainers.image.base.digest': from.digest },
    },
    mediaType.manifest,
  );
  return { ...written, platform: { architecture: architecture.oci, os: 'linux' } };
}

function labelsOf({ version, revision }: ImageParts, { Labels }: RunConfig): Record<string, string> {
  return {
    ...Labels,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.revision': revision,
  };
}

function annotationsOf(parts: ImageParts, runs: RunConfig): Record<string, string> {
  const created = new Date(parts.epoch * 1000).toISOString();
  return { ...labelsOf(parts, runs), 'org.opencontainers.image.created': created };
}

/** Ours win over the base's. */
function mergedEnv(base: readonly string[] = [], ours: readonly string[] = []): string[] {
  const byName = new Map([...base, ...ours].map((entry) => [entry.split('=', 1)[0], entry]));
  return [...byName.values()];
}
