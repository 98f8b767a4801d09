// A registry on this machine, in memory: it serves the content of OCI layouts and takes what is pushed, so that skopeo and Helm copy to and
// from a real HTTP API. Source: github.com/opencontainers/distribution-spec, pull and push.
// Neighbour: scripts/release/oci-layout.ts.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { digestOf, type Index, OciLayout } from '../../../scripts/release/oci-layout.ts';

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:port`; plain HTTP. */
  readonly address: string;
  /** The digest that a tag of a repository leads to; undefined for one that nobody pushed and no layout has. */
  digestOfTag(repository: string, tag: string): string | undefined;
}

interface Content {
  readonly type: string;
  read(): Buffer;
}

class Store {
  /** By digest. */
  readonly #content = new Map<string, Content>();
  /** `repository:tag` → digest. */
  readonly #tags = new Map<string, string>();
  readonly #uploads = new Map<string, Buffer>();

  /** Everything of the layout can be had from the repository, by digest and by the tag that names it. */
  offer(repository: string, layout: OciLayout): void {
    const { manifests } = layout.index();
    for (const { digest, annotations } of manifests) {
      this.#tags.set(`${repository}:${annotations?.['org.opencontainers.image.ref.name']}`, digest);
    }
    const inner = manifests.flatMap(({ digest }) => layout.readJson<Partial<Index>>(digest).manifests ?? []);
    for (const { digest, mediaType } of [...manifests, ...inner]) {
      this.#content.set(digest, { type: mediaType, read: () => layout.read(digest) });
    }
    for (const digest of layout.digests().filter((each) => !this.#content.has(each))) {
      this.#content.set(digest, { type: 'application/octet-stream', read: () => layout.read(digest) });
    }
  }

  digestOf(repository: string, reference: string): string | undefined {
    return reference.startsWith('sha256:') ? reference : this.#tags.get(`${repository}:${reference}`);
  }

  find(digest: string | undefined): Content | undefined {
    return digest === undefined ? undefined : this.#content.get(digest);
  }

  keep(type: string, body: Buffer): string {
    const digest = digestOf(body);
    this.#content.set(digest, { type, read: () => body });
    return digest;
  }

  tag(repository: string, reference: string, digest: string): void {
    if (!reference.startsWith('sha256:')) this.#tags.set(`${repository}:${reference}`, digest);
  }

  append(upload: string, body: Buffer): Buffer {
    const whole = Buffer.concat([this.#uploads.get(upload) ?? Buffer.alloc(0), body]);
    this.#uploads.set(upload, whole);
    return whole;
  }
}

/** Serves each layout under its name. */
export async function startRegistry(layouts: Readonly<Record<string, string>> = {}): Promise<Registry> {
  const store = new Store();
  for (const [repository, folder] of Object.entries(layouts)) store.offer(repository, OciLayout.open(folder));
  const server = createServer((request, response) => {
    answer(store, request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    digestOfTag: (repository, tag) => store.digestOf(repository, tag),
    [Symbol.asyncDispose]: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

let uploads = 0;

async function answer(store: Store, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://registry');
  const [, repository = '', kind = '', reference = ''] =
    /^\/v2\/(.+?)\/(manifests|blobs\/uploads|blobs)\/([^/]*)$/.exec(pathname) ?? [];
  const { method } = request;
  if (pathname === '/v2/') return void response.writeHead(200).end();
  if (method === 'GET' || method === 'HEAD') {
    const digest = store.digestOf(repository, reference);
    const content = store.find(digest);
    if (content === undefined || digest === undefined) return void response.writeHead(404).end();
    const body = content.read();
    const type = kind === 'manifests' ? content.type : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-length': body.length, 'docker-content-digest': digest });
    return void response.end(method === 'HEAD' ? undefined : body);
  }
  const body = await buffer(request);
  if (kind === 'manifests') {
    const digest = store.keep(request.headers['content-type'] ?? '', body);
    store.tag(repository, reference, digest);
    return void response.writeHead(201, { location: pathname, 'docker-content-digest': digest }).end();
  }
  const upload = method === 'POST' ? `${(uploads += 1)}` : reference;
  const location = `/v2/${repository}/blobs/uploads/${upload}`;
  const whole = store.append(upload, body);
  const wanted = searchParams.get('digest');
  if (wanted === null) {
    const range = `0-${Math.max(0, whole.length - 1)}`;
    return void response.writeHead(202, { location, range, 'content-length': 0 }).end();
  }
  const digest = store.keep('application/octet-stream', whole);
  const headers = { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest };
  response.writeHead(digest === wanted ? 201 : 400, headers).end();
}
