// A registry on this machine that serves the content of OCI layouts and takes nothing: what skopeo and Helm pull from is a real HTTP API.
// Source: github.com/opencontainers/distribution-spec, the end points of pulling. Neighbour: scripts/release/oci-layout.ts.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Descriptor, type Index, OciLayout } from '../../../scripts/release/oci-layout.ts';

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:port`; plain HTTP. */
  readonly address: string;
}

/** Serves each layout under its name, by digest and by the tag that it is named by. */
export async function startRegistry(layouts: Readonly<Record<string, string>>): Promise<Registry> {
  const opened = new Map(Object.entries(layouts).map(([name, folder]) => [name, OciLayout.open(folder)]));
  const server = createServer((request, response) => {
    const [, name = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? [];
    const layout = opened.get(name);
    if (request.url === '/v2/') answer(response, 'application/json', Buffer.from('{}'));
    else if (layout === undefined) response.writeHead(404).end();
    else {
      const descriptor = kind === 'manifests' ? manifestOf(layout, reference) : blobOf(reference);
      if (descriptor === undefined) response.writeHead(404).end();
      else answer(response, descriptor.mediaType, layout.read(descriptor.digest), descriptor.digest);
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

function answer(response: ServerResponse, type: string, content: Buffer, digest?: string): void {
  const headers = { 'content-type': type, 'content-length': content.length };
  response.writeHead(200, digest === undefined ? headers : { ...headers, 'docker-content-digest': digest });
  response.end(content);
}

const blobOf = (digest: string): Pick<Descriptor, 'mediaType' | 'digest'> => ({
  mediaType: 'application/octet-stream',
  digest,
});

/** A manifest or index, with its own media type: named by the layout, or inside of what is. */
function manifestOf(layout: OciLayout, reference: string): Descriptor | undefined {
  const known = layout.index().manifests.flatMap((named) => {
    const { manifests = [] } = layout.readJson<Partial<Index>>(named.digest);
    return [named, ...manifests];
  });
  return known.find(
    ({ digest, annotations }) =>
      digest === reference || annotations?.['org.opencontainers.image.ref.name'] === reference,
  );
}
