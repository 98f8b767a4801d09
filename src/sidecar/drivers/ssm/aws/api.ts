// The calls to Systems Manager that a tunnel makes, and the signature for its web socket. `session` means AWS's own here: what it starts,
// resumes and ends. Neighbours: aws-client.ts (how calls go), aws-error.ts (what failed), channel-opener.ts (what to start).
import type { SSMClient } from '@aws-sdk/client-ssm';
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { portDocument, remoteHostDocument } from '../../../../contract/ssm-documents.ts';
import { type AwsCallOptions, AwsClient } from './aws-client.ts';
import { isSessionGone } from './aws-error.ts';
import { signUpgrade } from './sign.ts';

/** What a session leads to, seen from the node. */
export interface StartRequest {
  /** The node: an instance id, `mi-…`, or `ecs:cluster_task_runtime`. */
  readonly target: string;
  /** Undefined for a port of the node itself. */
  readonly host: string | undefined;
  readonly port: number;
  /** Shown in the account's session list; identifies our own leftovers. */
  readonly reason: string;
}

/** Opens the data channel of a session that was started or resumed, once. */
export interface ChannelTicket {
  readonly sessionId: string;
  readonly streamUrl: string;
  /** A secret: never logged. */
  readonly token: string;
}

/** The ticket of a resume. Without `streamUrl`, the address from the start is still valid. */
export type ResumeTicket = Omit<ChannelTicket, 'streamUrl'> & { readonly streamUrl?: string };

/** A session in the account's list. */
export interface ActiveSession {
  readonly sessionId: string;
  /** What it was started with; empty for the sessions of people. */
  readonly reason: string;
}

export interface SsmApi {
  /** @throws TunnelError */
  startSession(request: StartRequest, signal: AbortSignal): Promise<ChannelTicket>;
  /** A new ticket for the session; undefined if the session has ended. @throws TunnelError */
  resumeSession(sessionId: string, signal: AbortSignal): Promise<ResumeTicket | undefined>;
  /** Ends the session; it is no error if it has ended already. @throws TunnelError */
  terminateSession(sessionId: string, signal: AbortSignal): Promise<void>;
  /** The sessions of everyone in the account that have not ended; if there is a target, only those to it. At most 1,000. @throws TunnelError */
  activeSessions(target: string | undefined, signal: AbortSignal): Promise<readonly ActiveSession[]>;
  /** Ids of the managed nodes with all these tags, connected or not, in no order; at most 500. @throws TunnelError */
  findNodes(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly string[]>;
  /** Whether the node's agent is connected now (its ping status is minutes old). @throws TunnelError */
  isConnected(target: string, signal: AbortSignal): Promise<boolean>;
  /** The headers for the upgrade at a checked address, signed with credentials that are valid now. @throws TunnelError */
  signUpgrade(url: URL, signal: AbortSignal): Promise<Record<string, string>>;
  close(): void;
}

/** Pages of 50 nodes. */
const maxNodePages = 10;
/** Pages of 200 sessions. */
const maxSessionPages = 5;

/** 30 MB and 0.2 s: only a tunnel that uses the driver pays them. */
const loadSdk = () => import('@aws-sdk/client-ssm');

/** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
export function createSsmApi(options: AwsCallOptions): SsmApi {
  return new AwsSsmApi(options);
}

class AwsSsmApi implements SsmApi {
  readonly #options: AwsCallOptions;
  readonly #client: AwsClient<Awaited<ReturnType<typeof loadSdk>>, SSMClient>;

  constructor(options: AwsCallOptions) {
    this.#options = options;
    this.#client = new AwsClient('ssm', options, loadSdk, ({ SSMClient: Client }, settings) => new Client(settings));
  }

  async startSession(request: StartRequest, signal: AbortSignal): Promise<ChannelTicket> {
    const subject = request.target;
    const answer = await this.#client.call(
      { action: 'ssm:StartSession', subject, signal },
      async (client, { StartSessionCommand }) =>
        client.send(new StartSessionCommand(startInput(request)), { abortSignal: signal }),
    );
    const { SessionId: sessionId, StreamUrl: streamUrl, TokenValue: token } = answer;
    if (!sessionId || !streamUrl || !token) {
      throw new TunnelError(
        'ServiceFailed',
        `Session Manager in ${this.#options.policy.region} started a session to ${subject} without telling how to reach it: look at the proxy and spec.ssm.endpoints on the way`,
      );
    }
    return { sessionId, streamUrl, token };
  }

  async resumeSession(sessionId: string, signal: AbortSignal): Promise<ResumeTicket | undefined> {
    return await unlessGone(async () => {
      const answer = await this.#client.call(
        { action: 'ssm:ResumeSession', subject: 'its session', signal },
        async (client, { ResumeSessionCommand }) =>
          client.send(new ResumeSessionCommand({ SessionId: sessionId }), { abortSignal: signal }),
      );
      const { TokenValue: token, StreamUrl: streamUrl } = answer;
      return token ? { sessionId, token, ...defined({ streamUrl: streamUrl || undefined }) } : undefined;
    });
  }

  async terminateSession(sessionId: string, signal: AbortSignal): Promise<void> {
    await unlessGone(() =>
      this.#client.call(
        { action: 'ssm:TerminateSession', subject: 'its session', signal },
        async (client, { TerminateSessionCommand }) =>
          client.send(new TerminateSessionCommand({ SessionId: sessionId }), { abortSignal: signal }),
      ),
    );
  }

  async activeSessions(target: string | undefined, signal: AbortSignal): Promise<readonly ActiveSession[]> {
    const Filters = target === undefined ? undefined : [{ key: 'Target' as const, value: target }];
    const pages = await allPages(maxSessionPages, (NextToken) =>
      this.#client.call(
        { action: 'ssm:DescribeSessions', subject: 'the account’s sessions', signal },
        async (client, { DescribeSessionsCommand }) => {
          const input = { State: 'Active' as const, MaxResults: 200, ...defined({ Filters, NextToken }) };
          return client.send(new DescribeSessionsCommand(input), { abortSignal: signal });
        },
      ),
    );
    return pages
      .flatMap(({ Sessions = [] }) => Sessions)
      .flatMap(({ SessionId, Reason }) => (SessionId ? [{ sessionId: SessionId, reason: Reason ?? '' }] : []));
  }

  async findNodes(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly string[]> {
    const Filters = Object.entries(tags).map(([key, value]) => ({ Key: `tag:${key}`, Values: [value] }));
    const pages = await allPages(maxNodePages, (NextToken) =>
      this.#client.call(
        { action: 'ssm:DescribeInstanceInformation', subject: 'the nodes', signal },
        async (client, { DescribeInstanceInformationCommand }) => {
          const input = { Filters, MaxResults: 50, ...defined({ NextToken }) };
          return client.send(new DescribeInstanceInformationCommand(input), { abortSignal: signal });
        },
      ),
    );
    return pages
      .flatMap(({ InstanceInformationList = [] }) => InstanceInformationList)
      .flatMap(({ InstanceId }) => InstanceId || []);
  }

  async isConnected(target: string, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#client.call(
      { action: 'ssm:GetConnectionStatus', subject: target, signal },
      async (client, { GetConnectionStatusCommand }) =>
        client.send(new GetConnectionStatusCommand({ Target: target }), { abortSignal: signal }),
    );
    return answer.Status === 'connected';
  }

  async signUpgrade(url: URL, signal: AbortSignal): Promise<Record<string, string>> {
    const { policy, credentials } = this.#options;
    const identity = await this.#client.guard(
      { action: 'ssmmessages:OpenDataChannel', subject: 'its session', signal },
      credentials,
    );
    return await signUpgrade(url, { region: policy.region, credentials: identity, date: new Date() });
  }

  close(): void {
    this.#client.close();
  }
}

/** What `call` gives, or undefined if AWS says that the session does not exist any more. */
async function unlessGone<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TunnelError && isSessionGone(error.cause)) return undefined;
    throw error;
  }
}

/** At most `limit` pages of a list. */
async function allPages<Page extends { readonly NextToken?: string | undefined }>(
  limit: number,
  pageAfter: (token: string | undefined) => Promise<Page>,
): Promise<readonly Page[]> {
  const pages: Page[] = [];
  let token: string | undefined;
  do {
    const page = await pageAfter(token);
    pages.push(page);
    token = page.NextToken;
  } while (token && pages.length < limit);
  return pages;
}

function startInput({ target, host, port, reason }: StartRequest) {
  const parameters = { portNumber: [String(port)], localPortNumber: ['0'] };
  return host === undefined
    ? { Target: target, Reason: reason, DocumentName: portDocument, Parameters: parameters }
    : {
        Target: target,
        Reason: reason,
        DocumentName: remoteHostDocument,
        Parameters: { ...parameters, host: [host] },
      };
}
