// An OCI image layout on disk: content by its digest, and one named manifest or index. What is read from one is checked against its digest.
// Source: github.com/opencontainers/image-spec, v1.1. Neighbours: image.ts and chart.ts write one, base-image.ts reads one.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Refused } from './refused.ts';

export const mediaType = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string; readonly variant?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export class OciLayout {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** An empty one in a new directory. */
  static create(directory: string): OciLayout {
    mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true });
    writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    return new OciLayout(directory);
  }

  /** The one that is there. @throws Refused when the directory is none. */
  static open(directory: string): OciLayout {
    if (existsSync(join(directory, 'oci-layout')) && existsSync(join(directory, 'index.json'))) {
      return new OciLayout(directory);
    }
    throw new Refused(`${directory} is no OCI layout: it has no oci-layout and index.json`);
  }

  index(): Index {
    return JSON.parse(readFileSync(join(this.directory, 'index.json'), 'utf8')) as Index;
  }

  add(content: Buffer | string, type: string): Descriptor {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes);
    writeFileSync(this.#file(digest), bytes);
    return { mediaType: type, digest, size: bytes.length };
  }

  addJson(value: object, type: string): Descriptor {
    return this.add(JSON.stringify(value), type);
  }

  /** @throws Refused when the content is missing or not what its digest says. */
  read(digest: string): Buffer {
    const file = this.#file(digest);
    if (!existsSync(file)) throw new Refused(`the OCI layout ${this.directory} lacks ${digest}`);
    const content = readFileSync(file);
    if (digestOf(content) === digest) return content;
    throw new Refused(`the OCI layout ${this.directory} is damaged: the content of ${digest} has another digest`);
  }

  readJson<Value>(digest: string): Value {
    return JSON.parse(this.read(digest).toString('utf8')) as Value;
  }

  /** Of everything that is in it. */
  digests(): string[] {
    return readdirSync(join(this.directory, 'blobs', 'sha256')).map((hex) => `sha256:${hex}`);
  }

  /** Makes `root` the layout's one named content. */
  name(root: Descriptor, reference: string): void {
    const annotations = { 'org.opencontainers.image.ref.name': reference };
    const index: Index = { schemaVersion: 2, mediaType: mediaType.index, manifests: [{ ...root, annotations }] };
    writeFileSync(join(this.directory, 'index.json'), JSON.stringify(index));
  }

  #file(digest: string): string {
    const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? [];
    if (hex === undefined) throw new Refused(`${digest} is no sha256 digest`);
    return join(this.directory, 'blobs', 'sha256', hex);
  }
}

export function digestOf(content: Buffer | string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
