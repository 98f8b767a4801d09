// What AWS answers, as the closed list of reasons. Decided by error names and status codes, never by an error's text, with two
// exceptions that are marked. The sentences are ours: AWS's own texts carry identities, and stay in the cause. No I/O. Neighbours: api.ts, web-socket.ts.
import { TunnelError } from '../../../../contract/errors.ts';

/** The IAM actions of which a denial is told. */
export type Action =
  | 'ssm:StartSession'
  | 'ssm:ResumeSession'
  | 'ssm:TerminateSession'
  | 'ssm:DescribeSessions'
  | 'ssm:DescribeInstanceInformation'
  | 'ssm:GetConnectionStatus'
  | 'ssmmessages:OpenDataChannel'
  | 'ecs:ListTasks'
  | 'ecs:DescribeTasks'
  | 'sts:AssumeRole'
  | 'sts:AssumeRoleWithWebIdentity';

const throttled = [
  'ThrottlingException',
  'Throttling',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'RateExceeded',
];
const denied = ['AccessDeniedException', 'AccessDenied', 'UnauthorizedOperation'];
const expiredNames = ['ExpiredTokenException', 'ExpiredToken', 'TokenRefreshRequired'];
const refusedNames = [
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'IncompleteSignature',
  'MissingAuthenticationTokenException',
];
const notTrusted = ['InvalidIdentityToken', 'InvalidIdentityTokenException', 'IDPRejectedClaim'];
const skewed = ['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'];
const noCredentials = ['CredentialsProviderError', 'TokenProviderError', 'ProviderError'];

const renewRole =
  'renew those of the role of the tunnel’s ServiceAccount by starting its pods anew; on a laptop sign in again';
const correctRole = 'correct the role of the tunnel’s ServiceAccount; on a laptop the keys of the AWS profile';

interface Facts {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly code: string | undefined;
}

/**
 * The reason why a call failed. `subject` is what the call was about, e.g. the target: ours, never AWS's text. `secretName` is where the
 * tunnel's keys are, if they are in a Secret.
 */
export function awsError(
  error: unknown,
  action: Action,
  subject: string,
  region: string,
  secretName?: string,
): TunnelError {
  if (error instanceof TunnelError) return error;
  const { name, message, status, code } = factsOf(error);
  const reason = (reasonCode: ConstructorParameters<typeof TunnelError>[0], sentence: string): TunnelError =>
    new TunnelError(reasonCode, sentence, { cause: error });
  const call = `${action} in ${region}`;

  if (noCredentials.includes(name)) return credentialsMissing(error);
  if (throttled.includes(name) || status === 429) {
    return reason('Throttled', `AWS throttles ${call}: use fewer replicas or sessions, or ask AWS for a higher quota`);
  }
  // AWS gives the same name for a wrong secret and a wrong clock; only its text tells them apart.
  if (skewed.includes(name) || (refusedNames.includes(name) && /signature (expired|not yet current)/i.test(message))) {
    return clockSkew(call, error);
  }
  if (expiredNames.includes(name)) {
    return reason(
      'CredentialsExpired',
      `the AWS credentials have expired (${call}): ${secretName === undefined ? renewRole : `renew the keys in Secret ${secretName}`}`,
    );
  }
  if (notTrusted.includes(name)) {
    return reason(
      'CredentialsRefused',
      `AWS does not trust the tunnel’s ServiceAccount token (${call}): register the cluster’s OIDC issuer in IAM, and name it in the trust policy of ${subject}`,
    );
  }
  if (refusedNames.includes(name)) {
    return reason(
      'CredentialsRefused',
      `AWS does not accept the credentials (${call}): ${secretName === undefined ? correctRole : `correct the keys in Secret ${secretName}`}`,
    );
  }
  if (denied.includes(name)) return reason(...denial(action, message, subject, region));
  switch (name) {
    case 'TargetNotConnected':
      return reason(
        'TargetNotConnected',
        `${subject} is not connected to Session Manager in ${region}: start it and its SSM agent, see its role (AmazonSSMManagedInstanceCore), or correct spec.ssm`,
      );
    case 'InvalidDocument':
      return reason(
        'DocumentUnknown',
        `the document for a session to ${subject} is not known in ${region}: allow AWS-StartPortForwardingSession and AWS-StartPortForwardingSessionToRemoteHost there`,
      );
    case 'ClusterNotFoundException':
    case 'ServiceNotFoundException': {
      const what = name === 'ClusterNotFoundException' ? 'the cluster' : 'the service';
      return reason(
        'TargetNotFound',
        `ECS in ${region} does not know ${what} (${subject}): correct spec.ssm.target.ecsTask, or spec.ssm.region`,
      );
    }
    case 'BadRequest':
    case 'ValidationException':
    case 'InvalidParameterException':
      return reason(
        'SessionRefused',
        `AWS refuses the parameters of ${call} for ${subject}: correct spec.ssm.target, or update the SSM agent there`,
      );
    default:
  }
  if (code === 'ENOTFOUND') {
    const service = action.slice(0, action.indexOf(':'));
    return reason(
      'RegionWrong',
      `there is no endpoint of ${service} for the region ${region}: correct spec.ssm.region, spec.ssm.endpoints, or the DNS`,
    );
  }
  const why = status === undefined ? (code ?? name) : `status ${status}`;
  return reason('ServiceFailed', `${call} failed (${why}): look at the way to its endpoint, and at AWS’s health page`);
}

/** Nobody has told the tunnel who it is at AWS. */
export function credentialsMissing(cause?: unknown): TunnelError {
  return new TunnelError(
    'CredentialsMissing',
    'the tunnel finds no AWS credentials: set spec.ssm.irsaRoleArn, associate a role with its ServiceAccount by Pod Identity, or name a Secret with static keys in spec.ssm.secretRef',
    { cause },
  );
}

function clockSkew(call: string, cause?: unknown): TunnelError {
  return new TunnelError(
    'ClockSkew',
    `AWS refuses the time of a signature (${call}): the clock of the machine where the tunnel runs is wrong, correct it by NTP`,
    { cause },
  );
}

function denial(
  action: Action,
  message: string,
  subject: string,
  region: string,
): ['AccessDenied' | 'ResumeDenied', string] {
  // The second text that is looked at: STS names the action only there.
  if (action.startsWith('sts:') && /sts:TagSession/.test(message)) {
    return [
      'AccessDenied',
      `session tags need sts:TagSession for ${subject}: allow it in the tunnel’s IAM policy and in the role’s trust policy, or remove spec.ssm.assumeRole.sessionTags`,
    ];
  }
  switch (action) {
    case 'ssm:ResumeSession':
      return [
        'ResumeDenied',
        `the tunnel’s AWS identity lacks ssm:ResumeSession for ${subject} in ${region}: add it to its IAM policy, or the service’s hourly close would drop every connection`,
      ];
    case 'sts:AssumeRole':
    case 'sts:AssumeRoleWithWebIdentity':
      return [
        'AccessDenied',
        `the tunnel’s AWS identity lacks ${action} for ${subject}: allow it in its IAM policy and in the role’s trust policy, external id included`,
      ];
    default:
      return [
        'AccessDenied',
        `the tunnel’s AWS identity lacks ${action} for ${subject} in ${region}: add it to its IAM policy`,
      ];
  }
}

/** True when the session is gone for good: there is nothing to resume. */
export function isSessionGone(error: unknown): boolean {
  return factsOf(error).name === 'DoesNotExistException';
}

/** The reason why a web socket was refused with an HTTP status. `date` is the answer's own, for the clock. */
export function upgradeRefused(status: number, date: string | undefined, now: Date, host: string): TunnelError {
  const difference = date === undefined ? 0 : Math.abs(Date.parse(date) - now.getTime());
  const call = `ssmmessages:OpenDataChannel at ${host}`;
  if ((status === 401 || status === 403) && difference > 5 * 60_000) return clockSkew(call);
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
