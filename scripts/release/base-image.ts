// The image that a release is built on: from a registry by digest, or an OCI layout on disk. Tags move, so one alone is refused.
// Neighbours: image.ts adds our layer, provenance.ts names what was taken; skopeo fetches from a registry.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../../lab/process/command.ts';
import { findProgram } from '../../lab/programs/find-program.ts';
import { architectures } from './architectures.ts';
import { type Descriptor, digestOf, type Index, type Manifest, mediaType, OciLayout } from './oci-layout.ts';
import { Refused } from './refused.ts';

export interface BaseImage {
  readonly layout: OciLayout;
  /** As the release was told; of a layout on disk nothing of this machine. */
  readonly name: string;
  /** Of the image's index; of a layout with several images, that of its list. */
  readonly digest: string;
  /** By the name of the architecture in an index. */
  readonly manifests: ReadonlyMap<string, Descriptor>;
}

/** Reads the base, fetching it into `work` where it is in a registry. @throws Refused for a tag, and where an architecture is missing. */
export async function readBase(reference: string, work: string): Promise<BaseImage> {
  const onDisk = existsSync(join(reference, 'index.json'));
  if (onDisk) {
    const layout = OciLayout.open(reference);
    const [only, ...more] = layout.index().manifests;
    const digest = only !== undefined && more.length === 0 ? only.digest : digestOf(JSON.stringify(layout.index()));
    return completed({ layout, name: 'an OCI layout on disk', digest });
  }
  const [, name, digest] = /^([^@]+)@(sha256:[0-9a-f]{64})$/.exec(reference) ?? [];
  if (name === undefined || digest === undefined) {
    throw new Refused(
      `--base ${reference} names no digest, and a tag can mean another image tomorrow: give NAME@sha256:… (skopeo inspect prints the digest), or the folder of an OCI layout`,
    );
  }
  const skopeo = findProgram('skopeo');
  if (skopeo === undefined) {
    throw new Refused('skopeo fetches the base from its registry, and it is not here: install it (Debian: skopeo)');
  }
  const folder = join(work, 'base');
  // skopeo takes a name with a digest or with a tag, not with both.
  const from = `docker://${name.replace(/:[^:/]+$/, '')}@${digest}`;
  await command(skopeo, ['copy', '--quiet', '--all', from, `oci:${folder}`], { timeoutMs: 15 * 60_000 });
  return completed({ layout: OciLayout.open(folder), name, digest });
}

function completed(base: Omit<BaseImage, 'manifests'>): BaseImage {
  const manifests = new Map<string, Descriptor>();
  for (const descriptor of manifestsOf(base.layout, base.layout.index())) {
    const { os, architecture } = descriptor.platform ?? platformOf(base.layout, descriptor);
    if (os === 'linux' && !manifests.has(architecture)) manifests.set(architecture, descriptor);
  }
  const missing = architectures.filter(({ oci }) => !manifests.has(oci));
  if (missing.length === 0) return { ...base, manifests };
  throw new Refused(`the base has no image for ${missing.map(({ oci }) => `linux/${oci}`).join(' and ')}`);
}

/** Indexes may hold indexes. */
function manifestsOf(layout: OciLayout, index: Index): Descriptor[] {
  return index.manifests.flatMap((descriptor) =>
    descriptor.mediaType === mediaType.index
      ? manifestsOf(layout, layout.readJson<Index>(descriptor.digest))
      : [descriptor],
  );
}

function platformOf(layout: OciLayout, { digest }: Descriptor): { readonly os: string; readonly architecture: string } {
  return layout.readJson(layout.readJson<Manifest>(digest).config.digest);
}
