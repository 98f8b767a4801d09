// One HTTP server on loopback for any call to AWS: records each request and answers what the test wants. It does not check signatures; the
// service of test/support/ssm does.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly path: string;
  /** `x-amz-target` of a JSON call, `Action` of a query call. */
  readonly operation: string;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

export interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
}

export class AwsFake {
  readonly asked: Asked[] = [];
  /** The answer to the next requests; undefined: never answers. */
  answer: (asked: Asked) => Answer | undefined = () => ({ body: '{}' });
  readonly server: Server;
  readonly #origin: string;

  /** Without TLS on 127.0.0.1; with a key and a certificate over TLS as `localhost`. */
  static async start(tls?: { readonly key: string; readonly cert: string }): Promise<AwsFake> {
    const fake = new AwsFake(tls);
    fake.server.listen(0, '127.0.0.1');
    await once(fake.server, 'listening');
    return fake;
  }

  private constructor(tls: { readonly key: string; readonly cert: string } | undefined) {
    this.#origin = tls === undefined ? 'http://127.0.0.1' : 'https://localhost';
    this.server = tls === undefined ? createServer() : createTlsServer(tls);
    this.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        const operation = request.headers['x-amz-target'] ?? new URLSearchParams(body).get('Action') ?? '';
        const asked = { path: request.url ?? '', operation: String(operation), body, headers: request.headers };
        this.asked.push(asked);
        const answer = this.answer(asked);
        if (answer === undefined) return;
        response.writeHead(answer.status ?? 200, { 'content-type': answer.type ?? 'application/x-amz-json-1.1' });
        response.end(answer.body);
      });
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `${this.#origin}:${this.port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** A refusal of a JSON service. */
export function refusal(type: string, message = 'arn:aws:iam::123456789012:user/someone', status = 400): Answer {
  return { status, body: JSON.stringify({ __type: type, message }) };
}

/** A refusal of STS, which speaks XML. */
export function stsRefusal(code: string, message = 'no', status = 403): Answer {
  return {
    status,
    type: 'text/xml',
    body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
  };
}

/** STS's answer to the action, with credentials that expire after `seconds`. */
export function stsCredentials(action: string, accessKeyId: string, seconds = 3_600): Answer {
  const until = new Date(Date.now() + seconds * 1_000).toISOString();
  return {
    type: 'text/xml',
    body: `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>${until}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></${action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${action}Response>`,
  };
}
