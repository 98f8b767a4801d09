// A receiver of OTLP (HTTP with JSON) on the wire: keeps what it is sent, and answers as a test wants.
// Neighbours: src/process/otlp.ts sends to it; otlp/collector-reads.ts says what the OpenTelemetry Collector would read.
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

const attributes = z.array(z.strictObject({ key: z.string(), value: z.strictObject({ stringValue: z.string() }) }));
const nanoseconds = z.string().regex(/^\d{19}$/);
/** As the specification has it, and no more than we send. */
const request = z.strictObject({
  resourceSpans: z.tuple([
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.tuple([
        z.strictObject({
          scope: z.strictObject({ name: z.string() }),
          spans: z
            .array(
              z.strictObject({
                traceId: z.string().regex(/^[0-9a-f]{32}$/),
                spanId: z.string().regex(/^[0-9a-f]{16}$/),
                name: z.string(),
                kind: z.literal(1),
                startTimeUnixNano: nanoseconds,
                endTimeUnixNano: nanoseconds,
                attributes,
                events: z.array(z.strictObject({ name: z.string(), timeUnixNano: nanoseconds, attributes })),
                status: z.strictObject({ code: z.union([z.literal(1), z.literal(2)]), message: z.string().optional() }),
              }),
            )
            .min(1),
        }),
      ]),
    }),
  ]),
});

type Request = z.output<typeof request>;

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Every byte of the body. */
  readonly body: string;
  readonly content: Request;
}

export class TraceCollector {
  readonly received: Received[] = [];
  readonly #server: Server;
  /** What it answers. */
  status = 200;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (incoming, response) => void this.#take(incoming, response));
  }

  async #take(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(incoming).catch(() => undefined);
    // A sender that was killed in the middle: nobody waits for an answer.
    if (body === undefined) return;
    const content = request.parse(JSON.parse(body));
    this.received.push({ path: incoming.url ?? '', headers: incoming.headers, body, content });
    response.writeHead(this.status).end('{}');
  }

  /** Resolves when it listens. `host`: an address of this machine. */
  static async start(host = '127.0.0.1'): Promise<TraceCollector> {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    return new TraceCollector(server);
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Every span of every request, in order. */
  spans(): Request['resourceSpans'][0]['scopeSpans'][0]['spans'] {
    return this.received.flatMap(({ content }) => content.resourceSpans[0].scopeSpans[0].spans);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
