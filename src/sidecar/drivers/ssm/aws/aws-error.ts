// Failures of AWS → the closed list of reasons. Decided by error names and status codes, never by an error's text, with two exceptions that
// are marked. No I/O. Neighbours: aws-reasons.ts (the table), aws-client.ts and web-socket.ts (where calls fail).
import { TunnelError } from '../../../../contract/errors.ts';
import {
  type Action,
  accessDenied,
  clockSkew,
  clockSkewSentence,
  credentialsMissingSentence,
  credentialsRefused,
  failed,
  noCredentials,
  noEndpoint,
  type Reason,
  reasons,
  resumeDenied,
  tagSessionDenied,
  throttled,
} from './aws-reasons.ts';

interface Facts {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly code: string | undefined;
}

/** The reason why a call failed. `subject` is what the call was about, e.g. the node; `secretName` the Secret with the keys, if any. */
export function awsError(
  error: unknown,
  action: Action,
  subject: string,
  region: string,
  secretName?: string,
): TunnelError {
  if (error instanceof TunnelError) return error;
  const { code, sentence } = reasonOf(factsOf(error), action);
  return new TunnelError(code, sentence({ action, subject, region, secretName }), { cause: error });
}

function reasonOf({ name, message, status, code }: Facts, action: Action): Reason {
  const byName = reasons.get(name);
  if (status === 429 && byName !== noCredentials) return throttled;
  // AWS gives the same name for a wrong secret and a wrong clock; only its text shows which.
  if (byName === credentialsRefused && /signature (expired|not yet current)/i.test(message)) return clockSkew;
  if (byName === accessDenied) {
    // The second text that decides: STS names the action only there.
    if (action.startsWith('sts:') && /sts:TagSession/.test(message)) return tagSessionDenied;
    return action === 'ssm:ResumeSession' ? resumeDenied : accessDenied;
  }
  if (byName !== undefined) return byName;
  if (code === 'ENOTFOUND') return noEndpoint;
  return failed(status === undefined ? (code ?? name) : `status ${status}`);
}

/** No credentials were found anywhere. */
export function credentialsMissing(cause?: unknown): TunnelError {
  return new TunnelError('CredentialsMissing', credentialsMissingSentence, { cause });
}

/** True if the session has ended: there is nothing to resume. */
export function isSessionGone(error: unknown): boolean {
  return factsOf(error).name === 'DoesNotExistException';
}

/** The reason why a web socket was refused with an HTTP status. `date` is the header of the answer: it shows whether our clock is wrong. */
export function upgradeRefused(status: number, date: string | undefined, now: Date, host: string): TunnelError {
  const difference = date === undefined ? 0 : Math.abs(Date.parse(date) - now.getTime());
  const call = `ssmmessages:OpenDataChannel at ${host}`;
  if ((status === 401 || status === 403) && difference > 5 * 60_000) {
    return new TunnelError('ClockSkew', clockSkewSentence(call));
  }
  if (status === 401 || status === 403) {
    return new TunnelError(
      'AccessDenied',
      `the data channel was refused: the tunnel’s AWS identity lacks ${call}, add it to its IAM policy; or its credentials have expired`,
    );
  }
  if (status === 429) return new TunnelError('Throttled', `AWS throttles ${call}: use fewer replicas or sessions`);
  return new TunnelError(
    'ServiceFailed',
    `the data channel was refused with status ${status} (${call}): look at the proxy and the VPC endpoint on the way`,
  );
}

function factsOf(error: unknown): Facts {
  const none = { name: '', message: '', status: undefined, code: undefined };
  if (typeof error !== 'object' || error === null) return none;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const metadata = '$metadata' in error ? error.$metadata : undefined;
  const status =
    typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata
      ? metadata.httpStatusCode
      : undefined;
  return {
    name: 'name' in error ? (text(error.name) ?? '') : '',
    message: 'message' in error ? (text(error.message) ?? '') : '',
    status: typeof status === 'number' ? status : undefined,
    code: 'code' in error ? text(error.code) : undefined,
  };
}
