// A server instead of AWS that records, for every call of the ssm driver, the question that IAM would have to answer. It answers each call
// just well enough for the next one; the web socket itself is refused.
// Neighbours: iam-policy.test.ts, iam-evaluator.ts.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Question } from './iam-evaluator.ts';

/** Access keys that the recorder gives or expects: who made a call. */
export const ownKey = 'AKIDTUNNEL';
const assumedKey = 'AKIDASSUMED';

export interface Recorded extends Question {
  readonly by: 'tunnel' | 'assumed';
}

export interface World {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
  /** What the nodes carry. */
  readonly tags: Readonly<Record<string, string>>;
  readonly container: string;
  /** The prefix of session ids if no role was assumed. */
  readonly caller: string;
}

export class AwsRecorder {
  readonly calls: Recorded[] = [];
  readonly #server: Server;
  #world: World | undefined;
  #caller = '';

  constructor() {
    this.#server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        const { type, answer } = this.#answer(request, body);
        response.writeHead(200, { 'content-type': type }).end(answer);
      });
    });
    this.#server.on('upgrade', (request, socket) => {
      socket.on('error', () => undefined);
      const [, id = ''] = /data-channel\/([^?]+)/.exec(request.url ?? '') ?? [];
      this.#note(request, 'ssmmessages:OpenDataChannel', this.#arn('ssm', `session/${id}`));
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Forgets the calls, and uses this account from now on. */
  begin(world: World): void {
    this.#world = world;
    this.#caller = world.caller;
    this.calls.length = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #arn(service: string, resource: string, account = this.#world?.account): string {
    return `arn:${this.#world?.partition}:${service}:${this.#world?.region}:${account}:${resource}`;
  }

  #note(request: IncomingMessage, action: string, resource: string, context: Question['context'] = {}): void {
    const assumed = request.headers.authorization?.includes(`Credential=${assumedKey}/`) === true;
    const user: Record<string, string> = assumed ? {} : { 'aws:username': 'tunnel-user' };
    this.calls.push({ by: assumed ? 'assumed' : 'tunnel', action, resource, context: { ...user, ...context } });
  }

  #answer(request: IncomingMessage, body: string): { type: string; answer: string } {
    const target =
      String(request.headers['x-amz-target'] ?? '')
        .split('.')
        .at(-1) ?? '';
    if (request.url === '/pod-identity') return json(credentials(ownKey));
    if (target === '') return { type: 'text/xml', answer: this.#tokenService(request, new URLSearchParams(body)) };
    return json(this.#service(request, target, JSON.parse(body) as Input));
  }

  #tokenService(request: IncomingMessage, form: URLSearchParams): string {
    const action = form.get('Action') ?? '';
    this.#caller = form.get('RoleSessionName') ?? '';
    const web = action === 'AssumeRoleWithWebIdentity';
    if (!web) {
      this.#note(request, `sts:${action}`, form.get('RoleArn') ?? '');
      if (form.has('Tags.member.1.Key')) this.#note(request, 'sts:TagSession', form.get('RoleArn') ?? '');
    }
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = credentials(web ? ownKey : assumedKey);
    return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>
      <AccessKeyId>${AccessKeyId}</AccessKeyId><SecretAccessKey>${SecretAccessKey}</SecretAccessKey>
      <SessionToken>${Token}</SessionToken><Expiration>${Expiration}</Expiration>
      </Credentials></${action}Result></${action}Response>`;
  }

  #service(request: IncomingMessage, operation: string, input: Input): unknown {
    const { tags = {}, container } = this.#world ?? {};
    const session = `${this.#caller}-0a1b2c3d4e5f60718`;
    switch (operation) {
      case 'StartSession': {
        const check = { 'ssm:SessionDocumentAccessCheck': String(input.DocumentName !== undefined) };
        const carried = Object.entries(tags).map(([key, value]) => [`ssm:resourceTag/${key}`, value]);
        this.#note(request, 'ssm:StartSession', this.#node(input.Target ?? ''), {
          ...Object.fromEntries(carried),
          ...check,
        });
        this.#note(request, 'ssm:StartSession', this.#arn('ssm', `document/${input.DocumentName}`, ''), check);
        const StreamUrl = `${this.origin.replace('http', 'ws')}/v1/data-channel/${session}?role=publish_subscribe`;
        return { SessionId: session, StreamUrl, TokenValue: 'ticket' };
      }
      case 'ResumeSession':
      case 'TerminateSession':
        this.#note(request, `ssm:${operation}`, this.#arn('ssm', `session/${input.SessionId}`));
        return { SessionId: input.SessionId };
      case 'DescribeInstanceInformation':
        this.#note(request, `ssm:${operation}`, '*');
        return { InstanceInformationList: [{ InstanceId: 'i-0abc' }, { InstanceId: 'mi-0abc' }] };
      case 'GetConnectionStatus':
        this.#note(request, `ssm:${operation}`, this.#node(input.Target ?? ''));
        return { Status: 'connected', Target: input.Target };
      case 'ListTasks':
        this.#note(request, 'ecs:ListTasks', '*', { 'ecs:cluster': this.#arn('ecs', `cluster/${input.cluster}`) });
        return { taskArns: [this.#arn('ecs', `task/${input.cluster}/0123abcd`)] };
      case 'DescribeTasks':
        for (const task of input.tasks ?? []) this.#note(request, 'ecs:DescribeTasks', task);
        return { tasks: input.tasks?.map((taskArn) => runningTask(taskArn, container ?? '')) };
      default:
        this.#note(request, `ssm:${operation}`, '*');
        return {};
    }
  }

  #node(target: string): string {
    const [, cluster, task] = /^ecs:([^_]+)_([^_]+)_/.exec(target) ?? [];
    if (cluster !== undefined) return this.#arn('ecs', `task/${cluster}/${task}`);
    return target.startsWith('mi-')
      ? this.#arn('ssm', `managed-instance/${target}`)
      : this.#arn('ec2', `instance/${target}`);
  }
}

interface Input {
  readonly Target?: string;
  readonly DocumentName?: string;
  readonly SessionId?: string;
  readonly cluster?: string;
  readonly tasks?: readonly string[];
}

const json = (value: unknown) => ({ type: 'application/x-amz-json-1.1', answer: JSON.stringify(value) });

const credentials = (AccessKeyId: string) => ({
  AccessKeyId,
  SecretAccessKey: 'secret',
  Token: 'token',
  Expiration: '2099-01-01T00:00:00Z',
});

const runningTask = (taskArn: string, name: string) => ({
  taskArn,
  lastStatus: 'RUNNING',
  enableExecuteCommand: true,
  containers: [
    { name, runtimeId: '0123abcd-1', managedAgents: [{ name: 'ExecuteCommandAgent', lastStatus: 'RUNNING' }] },
  ],
});
