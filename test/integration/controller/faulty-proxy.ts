// A proxy between a controller and a real API server that misbehaves as it is told: it refuses, stalls, delays, cuts, repeats, forgets.
// Neighbours: api-faults.test.ts and frozen-leader.test.ts.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  createServer,
  type Agent as HttpAgent,
  type IncomingMessage,
  type RequestOptions,
  type Server,
  type ServerResponse,
} from 'node:http';
import { Agent, request as send } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { parse, stringify } from 'yaml';
import type { ApiServer } from '../../../lab/cluster/api-server.ts';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import { fullListener } from '../../support/full-listener.ts';

/** What happens to one request; what is not named goes on as usual. */
export interface Fault {
  /** Answered by the proxy instead of the server. */
  readonly answer?: { readonly status: number; readonly message: string; readonly headers?: Record<string, string> };
  /** No answer, and nothing more on streams that are open. */
  readonly stalls?: boolean;
  /** The server does it, and its answer is never passed on. */
  readonly withholds?: boolean;
  /** The connection is reset. */
  readonly cuts?: boolean;
  readonly delayMs?: number;
  /** Of a watch: what becomes of one event (a line). */
  readonly events?: (line: string) => readonly string[];
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly isWatch: boolean;
  readonly authorization: string | undefined;
}

/** A write that the server has answered. */
export interface Written {
  readonly method: string;
  readonly path: string;
  /** Of the object afterwards. A write that changes nothing leaves it as it was. */
  readonly resourceVersion: string | undefined;
}

interface Kubeconfig {
  readonly clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
  readonly users: { user: Record<string, unknown> }[];
}

const decoded = (text: unknown): string => Buffer.from(String(text), 'base64').toString();

export class FaultyProxy implements AsyncDisposable {
  /** Decides about each request that arrives, and at each event of an open watch. */
  fault: (asked: Asked) => Fault = () => ({});
  /** Every request since the last call of `take()`, the Lease's aside. */
  #asked: Asked[] = [];
  /** Every write that succeeded, the Lease's and Events aside. */
  readonly written: Written[] = [];
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #upstream: URL;
  readonly #sockets = new Set<Socket>();
  readonly #kubeconfig: Kubeconfig;

  private constructor(api: ApiServer) {
    this.#kubeconfig = parse(readFileSync(api.kubeconfig, 'utf8')) as Kubeconfig;
    const { clusters, users } = this.#kubeconfig;
    this.#upstream = new URL(api.url);
    this.#agent = new Agent({
      keepAlive: true,
      ca: decoded(clusters[0]?.cluster['certificate-authority-data']),
      cert: decoded(users[0]?.user['client-certificate-data']),
      key: decoded(users[0]?.user['client-key-data']),
    });
    this.#server = createServer((request, response) => void this.#handle(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(api: ApiServer): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(api);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Writes a kubeconfig that leads here; with `tokenFile` its user is whoever that file's token says. */
  writeKubeconfig(file: string, tokenFile?: string): void {
    const { port } = this.#server.address() as AddressInfo;
    const { clusters, users } = this.#kubeconfig;
    const user = tokenFile === undefined ? {} : { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
    const content = {
      ...this.#kubeconfig,
      clusters: clusters.map((one) => ({
        ...one,
        cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true },
      })),
      users: users.map((one) => ({ ...one, user })),
    };
    writeFileSync(file, stringify(content));
  }

  /** The requests since it was last called. */
  take(): readonly Asked[] {
    const asked = this.#asked;
    this.#asked = [];
    return asked;
  }

  /** Ends every connection and swallows the SYN of each new one until the returned is disposed of. */
  async swallowSyns(): Promise<AsyncDisposable> {
    const { port } = this.#server.address() as AddressInfo;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
    const full = await fullListener(port);
    return {
      [Symbol.asyncDispose]: async () => {
        await full[Symbol.asyncDispose]();
        this.#server.listen(port, '127.0.0.1');
        await once(this.#server, 'listening');
      },
    };
  }

  /** Resets every connection that is open. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cutAll();
    this.#agent.destroy();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://proxy');
    const asked: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      isWatch: url.searchParams.get('watch') === 'true',
      authorization: request.headers.authorization,
    };
    if (!asked.path.includes('/leases')) this.#asked.push(asked);
    response.on('error', () => undefined);
    const { answer, stalls, cuts, delayMs, withholds = false } = this.fault(asked);
    if (cuts === true) return void request.socket.resetAndDestroy();
    if (stalls === true) return;
    if (delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (answer === undefined) return this.#forward(request, response, asked, withholds);
    const { status, message, headers } = answer;
    const body = {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      code: status,
      message,
      reason: reasons[status],
    };
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  #forward(request: IncomingMessage, response: ServerResponse, asked: Asked, withholds: boolean): void {
    const { authorization: _, host: __, ...headers } = request.headers;
    const options: RequestOptions = { method: request.method, path: request.url, headers };
    const upstream = send(this.#upstream, { ...options, agent: this.#agent as HttpAgent }, (answer) => {
      if (asked.method !== 'GET') this.#note(answer, asked);
      if (withholds) return void answer.resume();
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.once('error', () => response.destroy());
      if (asked.isWatch) this.#stream(answer, response, asked);
      else answer.pipe(response);
    });
    upstream.once('error', () => response.destroy());
    response.once('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  #note(answer: IncomingMessage, { method, path }: Asked): void {
    if (/\/(leases|events)/.test(path) || (answer.statusCode ?? 500) >= 300) return;
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.once('end', () => {
      const { metadata } = JSON.parse(Buffer.concat(chunks).toString()) as Partial<KubeObject>;
      this.written.push({ method, path, resourceVersion: metadata?.resourceVersion });
    });
  }

  /** Line by line, each as the present fault has it. */
  #stream(answer: IncomingMessage, response: ServerResponse, asked: Asked): void {
    let rest = '';
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { stalls, events = (one) => [one] } = this.fault(asked);
        if (stalls !== true) for (const one of events(line)) response.write(`${one}\n`);
      }
    });
    answer.once('end', () => {
      if (this.fault(asked).stalls !== true) response.end();
    });
  }
}

const reasons: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
};
