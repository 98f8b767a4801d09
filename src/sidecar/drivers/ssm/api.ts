// The calls to Systems Manager that a tunnel makes, and the signature for its web socket. The AWS library is loaded with the first
// call. Neighbours: aws-error.ts (what failed), contract/aws-endpoint.ts (where it may go), driver.ts (what to start).
import type { SSMClient } from '@aws-sdk/client-ssm';
import { checkedEndpoint, type EndpointPolicy } from '../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../contract/errors.ts';
import { awsError, isSessionGone } from './aws-error.ts';
import type { CredentialSource } from './identity.ts';
import { signUpgrade } from './sign.ts';

/** What a session is to reach, seen from the instance. */
export interface StartRequest {
  /** An instance id, `mi-…`, or `ecs:cluster_task_runtime`. */
  readonly target: string;
  /** Undefined for a port of the instance itself. */
  readonly host: string | undefined;
  readonly port: number;
  /** Shown in the account's session list; tells our own leftovers from others'. */
  readonly reason: string;
}

/** A session that has been started or resumed: where its data channel is, and the token that opens it once. */
export interface ChannelTicket {
  readonly sessionId: string;
  readonly streamUrl: string;
  /** A secret: never logged. */
  readonly token: string;
}

export interface SsmApi {
  /** @throws TunnelError */
  startSession(request: StartRequest, signal: AbortSignal): Promise<ChannelTicket>;
  /** A new ticket for the session; undefined when the session is gone for good. @throws TunnelError */
  resumeSession(
    sessionId: string,
    signal: AbortSignal,
  ): Promise<(Omit<ChannelTicket, 'streamUrl'> & { readonly streamUrl?: string }) | undefined>;
  /** Ends the session; a session that is gone already is no error. @throws TunnelError */
  terminateSession(sessionId: string, signal: AbortSignal): Promise<void>;
  /** Ids of the managed nodes that carry all these tags, connected or not, in no order; at most 500. @throws TunnelError */
  findNodes(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly string[]>;
  /** Whether the node's agent is connected right now (its ping status is minutes old). @throws TunnelError */
  isConnected(target: string, signal: AbortSignal): Promise<boolean>;
  /** The headers for the upgrade of a checked address, signed with credentials that are fresh now. @throws TunnelError */
  signUpgrade(url: URL, signal: AbortSignal): Promise<Record<string, string>>;
  close(): void;
}

export interface SsmApiOptions {
  readonly policy: EndpointPolicy;
  /** Empty: AWS's own of the region. */
  readonly endpoint: string;
  /** Gives credentials that are valid now; asked before every call. */
  readonly credentials: CredentialSource;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_PAGES = 10;

/** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
export function createSsmApi({ policy, endpoint, credentials }: SsmApiOptions): SsmApi {
  const { region } = policy;
  const checked = endpoint === '' ? undefined : checkedEndpoint(endpoint, 'ssm', policy);
  let client: Promise<SSMClient> | undefined;
  const open = (): Promise<SSMClient> =>
    (client ??= loadSdk().then(
      ({ SSMClient: Client }) =>
        new Client({
          region,
          credentials,
          ...(checked === undefined ? {} : { endpoint: checked.href }),
          // Who calls repeats, and knows how long it makes sense.
          maxAttempts: 1,
          requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
        }),
    ));
  return {
    async startSession(request, signal) {
      const subject = request.target;
      const answer = await call('ssm:StartSession', subject, signal, async () => {
        const { StartSessionCommand } = await loadSdk();
        return (await open()).send(new StartSessionCommand(startInput(request)), { abortSignal: signal });
      });
      const { SessionId: sessionId, StreamUrl: streamUrl, TokenValue: token } = answer;
      if (!sessionId || !streamUrl || !token) {
        throw new TunnelError('ServiceFailed', 'Session Manager started a session without telling how to reach it');
      }
      return { sessionId, streamUrl, token };
    },

    async resumeSession(sessionId, signal) {
      try {
        const answer = await call('ssm:ResumeSession', 'its session', signal, async () => {
          const { ResumeSessionCommand } = await loadSdk();
          return (await open()).send(new ResumeSessionCommand({ SessionId: sessionId }), { abortSignal: signal });
        });
        const { TokenValue: token, StreamUrl: streamUrl } = answer;
        return token ? { sessionId, token, ...(streamUrl ? { streamUrl } : {}) } : undefined;
      } catch (error) {
        if (error instanceof TunnelError && isSessionGone(error.cause)) return undefined;
        throw error;
      }
    },

    async terminateSession(sessionId, signal) {
      try {
        await call('ssm:TerminateSession', 'its session', signal, async () => {
          const { TerminateSessionCommand } = await loadSdk();
          return (await open()).send(new TerminateSessionCommand({ SessionId: sessionId }), { abortSignal: signal });
        });
      } catch (error) {
        if (!(error instanceof TunnelError && isSessionGone(error.cause))) throw error;
      }
    },

    async findNodes(tags, signal) {
      const { DescribeInstanceInformationCommand } = await loadSdk();
      const Filters = Object.entries(tags).map(([key, value]) => ({ Key: `tag:${key}`, Values: [value] }));
      const ids: string[] = [];
      let NextToken: string | undefined;
      for (let page = 0; page < MAX_PAGES; page += 1) {
        const input = { Filters, MaxResults: 50, ...(NextToken === undefined ? {} : { NextToken }) };
        const answer = await call('ssm:DescribeInstanceInformation', 'the nodes', signal, async () =>
          (await open()).send(new DescribeInstanceInformationCommand(input), { abortSignal: signal }),
        );
        for (const { InstanceId } of answer.InstanceInformationList ?? []) if (InstanceId) ids.push(InstanceId);
        NextToken = answer.NextToken;
        if (!NextToken) break;
      }
      return ids;
    },

    async isConnected(target, signal) {
      const answer = await call('ssm:GetConnectionStatus', target, signal, async () => {
        const { GetConnectionStatusCommand } = await loadSdk();
        return (await open()).send(new GetConnectionStatusCommand({ Target: target }), { abortSignal: signal });
      });
      return answer.Status === 'connected';
    },

    async signUpgrade(url, signal) {
      const identity = await call('ssmmessages:OpenDataChannel', 'its session', signal, credentials);
      return signUpgrade(url, { region, credentials: identity, date: new Date() });
    },

    close() {
      void client?.then((one) => one.destroy()).catch(() => undefined);
    },
  };

  async function call<T>(
    action: Parameters<typeof awsError>[1],
    subject: string,
    signal: AbortSignal,
    run: () => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      // Aborted by our owner: its own reason, not the library's.
      signal.throwIfAborted();
      throw awsError(error, action, subject, region);
    }
  }
}

/** 30 MB and 0.2 s: only a tunnel that uses the driver pays them. */
function loadSdk() {
  return import('@aws-sdk/client-ssm');
}

function startInput({ target, host, port, reason }: StartRequest) {
  const parameters = { portNumber: [String(port)], localPortNumber: ['0'] };
  return host === undefined
    ? { Target: target, Reason: reason, DocumentName: 'AWS-StartPortForwardingSession', Parameters: parameters }
    : {
        Target: target,
        Reason: reason,
        DocumentName: 'AWS-StartPortForwardingSessionToRemoteHost',
        Parameters: { ...parameters, host: [host] },
      };
}
