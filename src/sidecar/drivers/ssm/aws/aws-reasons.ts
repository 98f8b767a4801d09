// Names of AWS's errors → the closed list of reasons, each with its sentence. The sentences are ours: AWS's own texts carry identities, and
// stay in the cause. A table, no I/O. Neighbour: aws-error.ts chooses from it.
import type { Code } from '../../../../contract/errors.ts';

/** The IAM actions that a tunnel needs. */
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

/** What the sentences need to know of a failed call. */
interface FailedCall {
  readonly action: Action;
  /** What the call was about, e.g. the node: ours, never AWS's text. */
  readonly subject: string;
  readonly region: string;
  /** The Secret that has the tunnel's keys, if any. */
  readonly secretName: string | undefined;
}

/** A code of our closed list, and the sentence for a person. */
export interface Reason {
  readonly code: Code;
  readonly sentence: (call: FailedCall) => string;
}

const named = ({ action, region }: FailedCall): string => `${action} in ${region}`;

export const credentialsMissingSentence =
  'the tunnel finds no AWS credentials: set spec.ssm.irsaRoleArn, associate a role with its ServiceAccount by Pod Identity, or name a Secret with static keys in spec.ssm.secretRef';

/** `call`: which call, and where. */
export const clockSkewSentence = (call: string): string =>
  `AWS refuses the time of a signature (${call}): the clock of the machine where the tunnel runs is wrong, correct it by NTP`;

export const noCredentials: Reason = { code: 'CredentialsMissing', sentence: () => credentialsMissingSentence };
export const throttled: Reason = {
  code: 'Throttled',
  sentence: (call) => `AWS throttles ${named(call)}: use fewer replicas or sessions, or ask AWS for a higher quota`,
};
export const clockSkew: Reason = { code: 'ClockSkew', sentence: (call) => clockSkewSentence(named(call)) };
const credentialsExpired: Reason = {
  code: 'CredentialsExpired',
  sentence: (call) =>
    `the AWS credentials have expired (${named(call)}): ${
      call.secretName === undefined
        ? 'renew those of the role of the tunnel’s ServiceAccount by restarting its pods; on a laptop sign in again'
        : `renew the keys in Secret ${call.secretName}`
    }`,
};
const tokenNotTrusted: Reason = {
  code: 'CredentialsRefused',
  sentence: (call) =>
    `AWS does not trust the tunnel’s ServiceAccount token (${named(call)}): register the cluster’s OIDC issuer in IAM, and name it in the trust policy of ${call.subject}`,
};
export const credentialsRefused: Reason = {
  code: 'CredentialsRefused',
  sentence: (call) =>
    `AWS does not accept the credentials (${named(call)}): ${
      call.secretName === undefined
        ? 'correct the role of the tunnel’s ServiceAccount; on a laptop the keys of the AWS profile'
        : `correct the keys in Secret ${call.secretName}`
    }`,
};
export const accessDenied: Reason = {
  code: 'AccessDenied',
  sentence: ({ action, subject, region }) =>
    action.startsWith('sts:')
      ? `the tunnel’s AWS identity lacks ${action} for ${subject}: allow it in its IAM policy and in the role’s trust policy, external id included`
      : `the tunnel’s AWS identity lacks ${action} for ${subject} in ${region}: add it to its IAM policy`,
};
export const tagSessionDenied: Reason = {
  code: 'AccessDenied',
  sentence: ({ subject }) =>
    `session tags need sts:TagSession for ${subject}: allow it in the tunnel’s IAM policy and in the role’s trust policy, or remove spec.ssm.assumeRole.sessionTags`,
};
export const resumeDenied: Reason = {
  code: 'ResumeDenied',
  sentence: ({ subject, region }) =>
    `the tunnel’s AWS identity lacks ssm:ResumeSession for ${subject} in ${region}: add it to its IAM policy, or the service’s hourly close would drop every connection`,
};
const targetNotConnected: Reason = {
  code: 'TargetNotConnected',
  sentence: ({ subject, region }) =>
    `${subject} is not connected to Session Manager in ${region}: start it and its SSM agent, see its role (AmazonSSMManagedInstanceCore), or correct spec.ssm`,
};
const documentUnknown: Reason = {
  code: 'DocumentUnknown',
  sentence: ({ subject, region }) =>
    `the document for a session to ${subject} is not known in ${region}: allow AWS-StartPortForwardingSession and AWS-StartPortForwardingSessionToRemoteHost there`,
};
const notInEcs = (what: string): Reason => ({
  code: 'TargetNotFound',
  sentence: ({ subject, region }) =>
    `ECS in ${region} does not know ${what} (${subject}): correct spec.ssm.target.ecsTask, or spec.ssm.region`,
});
const parametersRefused: Reason = {
  code: 'SessionRefused',
  sentence: (call) =>
    `AWS refuses the parameters of ${named(call)} for ${call.subject}: correct spec.ssm.target, or update the SSM agent there`,
};
export const noEndpoint: Reason = {
  code: 'RegionWrong',
  sentence: ({ action, region }) =>
    `there is no endpoint of ${action.slice(0, action.indexOf(':'))} for the region ${region}: correct spec.ssm.region, spec.ssm.endpoints, or the DNS`,
};
export const failed = (why: string): Reason => ({
  code: 'ServiceFailed',
  sentence: (call) => `${named(call)} failed (${why}): look at the way to its endpoint, and at AWS’s health page`,
});

/** The reason by AWS's name of the error. A `Map`, because AWS may send any name, also that of a property of every object. */
export const reasons: ReadonlyMap<string, Reason> = new Map([
  ['CredentialsProviderError', noCredentials],
  ['TokenProviderError', noCredentials],
  ['ProviderError', noCredentials],
  ['ThrottlingException', throttled],
  ['Throttling', throttled],
  ['TooManyRequestsException', throttled],
  ['RequestLimitExceeded', throttled],
  ['RateExceeded', throttled],
  ['RequestTimeTooSkewed', clockSkew],
  ['RequestExpired', clockSkew],
  ['RequestInTheFuture', clockSkew],
  ['ExpiredTokenException', credentialsExpired],
  ['ExpiredToken', credentialsExpired],
  ['TokenRefreshRequired', credentialsExpired],
  ['InvalidIdentityToken', tokenNotTrusted],
  ['InvalidIdentityTokenException', tokenNotTrusted],
  ['IDPRejectedClaim', tokenNotTrusted],
  ['UnrecognizedClientException', credentialsRefused],
  ['InvalidClientTokenId', credentialsRefused],
  ['InvalidSignatureException', credentialsRefused],
  ['SignatureDoesNotMatch', credentialsRefused],
  ['IncompleteSignature', credentialsRefused],
  ['MissingAuthenticationTokenException', credentialsRefused],
  ['AccessDeniedException', accessDenied],
  ['AccessDenied', accessDenied],
  ['UnauthorizedOperation', accessDenied],
  ['TargetNotConnected', targetNotConnected],
  ['InvalidDocument', documentUnknown],
  ['ClusterNotFoundException', notInEcs('the cluster')],
  ['ServiceNotFoundException', notInEcs('the service')],
  ['BadRequest', parametersRefused],
  ['ValidationException', parametersRefused],
  ['InvalidParameterException', parametersRefused],
]);
