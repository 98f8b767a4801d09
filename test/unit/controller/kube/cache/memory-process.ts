// Runs the controller's watches against an API server that holds hundreds of fat objects, or the objects of thousands of tunnels, and
// prints what that cost.
// Neighbour: memory.test.ts bundles and starts it. The server is a process of its own, so that only the reader's memory counts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { heapBounds } from '../../../../../src/controller/heap.ts';
import { WorkQueue } from '../../../../../src/controller/kube/workqueue/work-queue.ts';
import { Watches } from '../../../../../src/controller/watches.ts';
import { boundGarbage } from '../../../../../src/process/heap.ts';
import { clientOf, configOf } from '../scripted-server.ts';
import { objectsOfTunnels } from './memory-tunnels.ts';

const documents = 480;
const [, script = '', way = '', plural = '', className = '', role = 'reader'] = process.argv;

/** For the API server 256 KiB of annotations are the most; of its own kinds it judges that first of all. As a Service, this is nobody's. */
const annotationBytes = plural === 'services' ? 256 << 10 : 900_000;

/** 1.25 MB, nearly all of it in what nobody needs. */
function document(index: number): object {
  return {
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: {
      name: `fat-${index}`,
      namespace: 'ns',
      uid: `uid-${index}`,
      resourceVersion: String(index + 1),
      annotations: { note: String(index).padEnd(annotationBytes, 'x') },
      managedFields: [{ manager: String(index).padEnd(1_250_000 - annotationBytes, 'y') }],
    },
    spec: {
      className,
      ports: [{ port: 5432 }],
      ssh: { user: 'u', bastions: [{ host: 'b' }], secretRef: { name: 's' } },
    },
  };
}

const resourceVersion = String(documents + 1);

async function serve(): Promise<void> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const isFat = pathname.endsWith(`/${plural}`);
    if (way === 'tunnels') void sendObjects(response, objectsOfTunnels(basename(pathname), Number(plural)));
    else if (searchParams.get('watch') !== 'true') void answerPage(response, isFat, searchParams);
    else if (searchParams.get('sendInitialEvents') !== 'true') response.writeHead(200).flushHeaders();
    else if (way === 'list') response.writeHead(422).end('{}');
    else void sendObjects(response, isFat ? fatDocuments() : []);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
}

async function answerPage(response: ServerResponse, isFat: boolean, query: URLSearchParams): Promise<void> {
  const from = Number(query.get('continue') ?? 0);
  const end = isFat ? Math.min(documents, from + Number(query.get('limit') ?? documents)) : 0;
  const next = isFat && end < documents ? { continue: String(end) } : {};
  // A reader that takes no more ends the page.
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write(`{"metadata":${JSON.stringify({ resourceVersion, ...next })},"items":[`);
  for (let index = from; index < end && !gone.signal.aborted; index++) {
    const full = !response.write(`${index === from ? '' : ','}${JSON.stringify(document(index))}`);
    if (full) await once(response, 'drain', { signal: gone.signal }).catch(() => undefined);
  }
  response.end(']}');
}

function* fatDocuments(): Generator<string> {
  for (let index = 0; index < documents; index++) yield JSON.stringify(document(index));
}

async function sendObjects(response: ServerResponse, objects: Iterable<string>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const object of objects) {
    if (!response.write(`{"type":"ADDED","object":${object}}\n`)) await once(response, 'drain');
  }
  const metadata = { resourceVersion, annotations: { 'k8s.io/initial-events-end': 'true' } };
  response.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`);
}

async function read(): Promise<void> {
  boundGarbage(heapBounds);
  const server = spawn(process.execPath, [script, way, plural, className, 'server'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(server.stdout, 'data')) as [Buffer];
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  await using client = clientOf(configOf(`http://127.0.0.1:${line.toString().trim()}`));
  const watches = new Watches({
    kube: client.kube,
    className: '',
    namespaces: [],
    queue: new WorkQueue({ name: 'portforward', metrics: client.metrics }),
    reader: { track: () => undefined, forget: () => undefined },
    metrics: client.metrics,
    log: client.log,
  });
  const stop = new AbortController();
  const running = watches.run(stop.signal);
  await watches.waitForSync(stop.signal);
  globalThis.gc?.();
  const pods = [...watches.portForwards.keys()].reduce((sum, key) => sum + watches.podsOf(key).length, 0);
  const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
  const peakMiB = mebibytes(process.resourceUsage().maxRSS * 1_024);
  const { heapUsed } = process.memoryUsage();
  const heapMiB = mebibytes(heapUsed);
  const { size } = plural === 'services' ? watches.services : watches.portForwards;
  process.stdout.write(JSON.stringify({ size, pods, peakMiB, heapMiB, keptBytes: heapUsed - heapBefore }));
  stop.abort();
  await running;
  server.kill();
}

void (role === 'server' ? serve() : read());
