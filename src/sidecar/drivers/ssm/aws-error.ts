// What AWS answers, as the closed list of reasons. Decided by error names and status codes, never by an error's text, with one exception
// that is marked. The sentences are ours: AWS's own texts carry identities, and stay in the cause. No I/O. Neighbours: api.ts, web-socket.ts.
import { TunnelError } from '../../../contract/errors.ts';

/** The IAM actions of which a denial is told. */
export type Action =
  | 'ssm:StartSession'
  | 'ssm:ResumeSession'
  | 'ssm:TerminateSession'
  | 'ssm:DescribeInstanceInformation'
  | 'ssm:GetConnectionStatus'
  | 'ssmmessages:OpenDataChannel'
  | 'sts:AssumeRole';

const THROTTLED = [
  'ThrottlingException',
  'Throttling',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'RateExceeded',
];
const DENIED = ['AccessDeniedException', 'AccessDenied', 'UnauthorizedOperation'];
const EXPIRED = ['ExpiredTokenException', 'ExpiredToken', 'TokenRefreshRequired'];
const REFUSED = [
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'IncompleteSignature',
  'MissingAuthenticationTokenException',
];
const SKEWED = ['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'];
const NO_CREDENTIALS = ['CredentialsProviderError', 'TokenProviderError', 'ProviderError'];

interface Facts {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly code: string | undefined;
}

/** The reason why a call failed. `subject` is what the call was about, e.g. the target: ours, never AWS's text. */
export function awsError(error: unknown, action: Action, subject: string, region: string): TunnelError {
  if (error instanceof TunnelError) return error;
  const { name, message, status, code } = factsOf(error);
  const reason = (reasonCode: ConstructorParameters<typeof TunnelError>[0], sentence: string): TunnelError =>
    new TunnelError(reasonCode, sentence, { cause: error });

  if (NO_CREDENTIALS.includes(name))
    return reason('CredentialsMissing', 'no AWS credentials were found for the tunnel');
  if (THROTTLED.includes(name) || status === 429) return reason('Throttled', `AWS throttles ${action} in ${region}`);
  // AWS gives the same name for a wrong secret and a wrong clock; only its text tells them apart.
  if (SKEWED.includes(name) || (REFUSED.includes(name) && /signature (expired|not yet current)/i.test(message))) {
    return reason('ClockSkew', 'AWS refuses the signature’s time: the clock of this node is wrong');
  }
  if (EXPIRED.includes(name)) return reason('CredentialsExpired', `the AWS credentials have expired (${action})`);
  if (REFUSED.includes(name)) return reason('CredentialsRefused', `AWS does not accept the credentials (${action})`);
  if (DENIED.includes(name)) {
    const denied = action === 'ssm:ResumeSession' ? 'ResumeDenied' : 'AccessDenied';
    return reason(denied, `the tunnel’s AWS identity lacks ${action} for ${subject}`);
  }
  switch (name) {
    case 'TargetNotConnected':
      return reason('TargetNotConnected', `${subject} is not connected to Session Manager in ${region}`);
    case 'InvalidDocument':
      return reason('DocumentUnknown', `the document for ${subject} is not known in ${region}`);
    case 'BadRequest':
    case 'ValidationException':
      return reason('SessionRefused', `Session Manager refuses the session to ${subject}`);
    default:
  }
  if (code === 'ENOTFOUND')
    return reason('RegionWrong', `there is no endpoint of Session Manager for the region ${region}`);
  const why = status === undefined ? (code ?? name) : `status ${status}`;
  return reason('ServiceFailed', `${action} failed at Session Manager in ${region} (${why})`);
}

/** True when the session is gone for good: there is nothing to resume. */
export function isSessionGone(error: unknown): boolean {
  return factsOf(error).name === 'DoesNotExistException';
}

/** The reason why a web socket was refused with an HTTP status. `date` is the answer's own, for the clock. */
export function upgradeRefused(status: number, date: string | undefined, now: Date): TunnelError {
  const difference = date === undefined ? 0 : Math.abs(Date.parse(date) - now.getTime());
  if ((status === 401 || status === 403) && difference > 5 * 60_000) {
    return new TunnelError('ClockSkew', 'AWS refuses the signature’s time: the clock of this node is wrong');
  }
  if (status === 401 || status === 403) {
    return new TunnelError(
      'AccessDenied',
      'the data channel was refused: the tunnel’s AWS identity lacks ssmmessages:OpenDataChannel, or its credentials have expired',
    );
  }
  if (status === 429) return new TunnelError('Throttled', 'AWS throttles the opening of data channels');
  return new TunnelError('ServiceFailed', `the data channel was refused with status ${status}`);
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
