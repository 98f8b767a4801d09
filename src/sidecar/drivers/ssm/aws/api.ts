// The calls to Systems Manager that a tunnel makes, and the signature for its web socket. The AWS library is loaded with the first
// call. Neighbours: aws-client.ts (how calls go), aws-error.ts (what failed), driver.ts (what to start).
import type { SSMClient } from '@aws-sdk/client-ssm';
import { TunnelError } from '../../../../contract/errors.ts';
import { portDocument, remoteHostDocument } from '../../../../contract/ssm-documents.ts';
import { type AwsCallOptions, awsCall, clientSettings } from './aws-client.ts';
import { isSessionGone } from './aws-error.ts';
import type { Action } from './aws-reasons.ts';
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

/** A session in the account's list. */
export interface ActiveSession {
  readonly sessionId: string;
  /** What it was started with; empty for sessions of people. */
  readonly reason: string;
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
  /** Sessions that have not ended, of everybody in the account; to one target if told. At most 1,000. @throws TunnelError */
  activeSessions(target: string | undefined, signal: AbortSignal): Promise<readonly ActiveSession[]>;
  /** Ids of the managed nodes that carry all these tags, connected or not, in no order; at most 500. @throws TunnelError */
  findNodes(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly string[]>;
  /** Whether the node's agent is connected right now (its ping status is minutes old). @throws TunnelError */
  isConnected(target: string, signal: AbortSignal): Promise<boolean>;
  /** The headers for the upgrade of a checked address, signed with credentials that are fresh now. @throws TunnelError */
  signUpgrade(url: URL, signal: AbortSignal): Promise<Record<string, string>>;
  close(): void;
}

const maxPages = 10;
const maxSessionPages = 5;

/** Nothing is loaded or opened before the first call. @throws TunnelError EndpointNotAllowed */
export function createSsmApi(options: AwsCallOptions): SsmApi {
  const { region } = options.policy;
  const settings = clientSettings('ssm', options);
  const { credentials, secretName } = options;
  let client: Promise<SSMClient> | undefined;
  const open = (): Promise<SSMClient> => (client ??= loadSdk().then(({ SSMClient: Client }) => new Client(settings)));
  const call = async <T>(action: Action, subject: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> =>
    await awsCall({ action, subject, region, secretName, signal }, run);
  return {
    async startSession(request, signal) {
      const subject = request.target;
      const answer = await call('ssm:StartSession', subject, signal, async () => {
        const { StartSessionCommand } = await loadSdk();
        return (await open()).send(new StartSessionCommand(startInput(request)), { abortSignal: signal });
      });
      const { SessionId: sessionId, StreamUrl: streamUrl, TokenValue: token } = answer;
      if (!sessionId || !streamUrl || !token) {
        throw new TunnelError(
          'ServiceFailed',
          `Session Manager in ${region} started a session to ${subject} without telling how to reach it: look at the proxy and spec.ssm.endpoints on the way`,
        );
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

    async activeSessions(target, signal) {
      const { DescribeSessionsCommand } = await loadSdk();
      const Filters = target === undefined ? undefined : [{ key: 'Target' as const, value: target }];
      const sessions: ActiveSession[] = [];
      let NextToken: string | undefined;
      for (let page = 0; page < maxSessionPages; page += 1) {
        const paged = {
          ...(Filters === undefined ? {} : { Filters }),
          ...(NextToken === undefined ? {} : { NextToken }),
        };
        const input = { State: 'Active' as const, MaxResults: 200, ...paged };
        const answer = await call('ssm:DescribeSessions', 'the account’s sessions', signal, async () =>
          (await open()).send(new DescribeSessionsCommand(input), { abortSignal: signal }),
        );
        for (const { SessionId, Reason } of answer.Sessions ?? []) {
          if (SessionId) sessions.push({ sessionId: SessionId, reason: Reason ?? '' });
        }
        NextToken = answer.NextToken;
        if (!NextToken) break;
      }
      return sessions;
    },

    async findNodes(tags, signal) {
      const { DescribeInstanceInformationCommand } = await loadSdk();
      const Filters = Object.entries(tags).map(([key, value]) => ({ Key: `tag:${key}`, Values: [value] }));
      const ids: string[] = [];
      let NextToken: string | undefined;
      for (let page = 0; page < maxPages; page += 1) {
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
}

/** 30 MB and 0.2 s: only a tunnel that uses the driver pays them. */
function loadSdk() {
  return import('@aws-sdk/client-ssm');
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
